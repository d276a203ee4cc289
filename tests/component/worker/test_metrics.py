"""What Prometheus reads: the names that operators rely on, sums that are right, labels that tell nothing."""

import math

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from parley.core.usage import LIST_PRICES, Tokens
from parley.metrics import Metrics, Snapshot, Sums, snapshot

PROMISED = {
    "parley_rooms": ("gauge", set()),
    "parley_participants": ("gauge", set()),
    "parley_sessions": ("gauge", {"kind"}),
    "parley_session_starts_total": ("counter", {"kind"}),
    "parley_session_failures_total": ("counter", {"kind", "reason"}),
    "parley_audio_sent_seconds_total": ("counter", {"kind"}),
    "parley_audio_received_seconds_total": ("counter", {"kind"}),
    "parley_audio_dropped_seconds_total": ("counter", {"where"}),
    "parley_lag_recovered_seconds_total": ("counter", {"by"}),
    "parley_cost_usd_total": ("counter", {"kind"}),
    "parley_tokens_total": ("counter", {"kind", "direction"}),
    "parley_ear_voice_span_seconds": ("histogram", set()),
    "parley_ingress_seconds": ("histogram", set()),
    "parley_egress_seconds": ("histogram", set()),
    "parley_connect_seconds": ("histogram", {"kind"}),
    "parley_queue_seconds": ("gauge", {"where"}),
    "parley_exports_total": ("counter", {"to", "outcome"}),
    "parley_state_failures_total": ("counter", set()),
}
"""Every series that users and operators rely on, with its type and labels."""


def of_translations(samples: list[tuple[str, dict[str, str], float]]) -> float:
    """The sample of translation sessions."""
    (value,) = (value for _, labels, value in samples if labels["kind"] == "translation")
    return value


def exposed(sums: Sums) -> dict[str, list[tuple[str, dict[str, str], float]]]:
    """Scraped and parsed as Prometheus does; samples by family, counters by their sample's name."""
    registry = CollectorRegistry()
    registry.register(sums)
    families = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        families[name] = [(s.name, s.labels, s.value) for s in family.samples]
        assert family.documentation
        assert PROMISED[name][0] == family.type
    return families


def busy() -> Metrics:
    """A job that has seen everything."""
    metrics = Metrics()
    metrics.rooms.set(1)
    metrics.participants.set(3)
    metrics._sessions.labels("translation").inc(2)
    metrics._starts.labels("translation").inc(5)
    metrics.session_failed("translation", "ConnectError")
    metrics.sent("translation", "gpt-realtime-translate", 60.0)
    metrics.received("translation", 30.0)
    metrics.dropped("session", 1.5)
    metrics.exported("webhook", done=False)
    metrics.tokens(
        "voice_agent", Tokens(text_in=4, audio_in=3, text_cached=2, audio_out=5), "gpt-realtime-2.1"
    )
    metrics.ear_voice_span.observe(2.2)
    metrics.ingress.observe(0.2)
    metrics.egress.observe(0.02)
    metrics.connected("translation", 0.3)
    metrics.waiting("playout", 0.4)
    return metrics


def test_the_names_and_labels_are_those_promised() -> None:
    sums = Sums()
    sums.update(1, snapshot(busy().registry))
    families = exposed(sums)
    assert set(families) == set(PROMISED)
    for name, samples in families.items():
        assert samples, name
        for _, labels, _ in samples:
            assert set(labels) - {"le"} == PROMISED[name][1], name


def test_before_any_job_every_series_without_a_choice_is_zero() -> None:
    families = exposed(Sums())
    assert set(families) == set(PROMISED)
    assert {value for samples in families.values() for _, _, value in samples} == {0.0}


def test_sums_over_jobs_and_over_those_that_ended() -> None:
    sums = Sums()
    for job in range(3):
        sums.update(job, snapshot(busy().registry))
    sums.ended(0)
    families = exposed(sums)
    assert families["parley_rooms"] == [("parley_rooms", {}, 2.0)]
    assert of_translations(families["parley_audio_sent_seconds_total"]) == 180.0
    assert math.isclose(of_translations(families["parley_cost_usd_total"]), 3 * 0.034)
    assert families["parley_session_failures_total"][0][2] == 3.0
    span = {
        (name, labels.get("le")): value for name, labels, value in families["parley_ear_voice_span_seconds"]
    }
    assert span["parley_ear_voice_span_seconds_count", None] == 3
    assert span["parley_ear_voice_span_seconds_bucket", "2.0"] == 0
    assert span["parley_ear_voice_span_seconds_bucket", "3.0"] == 3
    assert span["parley_ear_voice_span_seconds_bucket", "+Inf"] == 3


def test_series_that_only_ended_jobs_had_stay() -> None:
    sums = Sums()
    sums.update(1, snapshot(busy().registry))
    sums.ended(1)
    sums.ended(1)
    families = exposed(sums)
    assert families["parley_session_failures_total"] == [
        ("parley_session_failures_total", {"kind": "translation", "reason": "ConnectError"}, 1.0)
    ]
    assert {labels["direction"]: value for _, labels, value in families["parley_tokens_total"]} == {
        "input": 7.0,
        "input_cached": 2.0,
        "output": 5.0,
    }
    assert families["parley_sessions"][0][2] == 0.0
    assert sums.jobs == 0


def test_buckets_are_in_the_order_of_their_bounds() -> None:
    sums = Sums()
    sums.update(1, snapshot(busy().registry))
    for samples in exposed(sums).values():
        series: dict[str | None, list[float]] = {}
        for name, labels, _ in samples:
            if name.endswith("_bucket"):
                series.setdefault(labels.get("kind"), []).append(float(labels["le"]))
        assert all(bounds == sorted(bounds) for bounds in series.values())


def test_a_newer_report_takes_the_place_of_the_older() -> None:
    sums, metrics = Sums(), busy()
    report: Snapshot = snapshot(metrics.registry)
    for _ in range(5):
        sums.update(1, report)
    assert of_translations(exposed(sums)["parley_session_starts_total"]) == 5.0


def test_a_session_is_counted_open_only_while_it_is() -> None:
    metrics = Metrics()
    value = metrics.registry.get_sample_value
    with metrics.session("translation"):
        assert value("parley_sessions", {"kind": "translation"}) == 1
    assert value("parley_sessions", {"kind": "translation"}) == 0
    assert value("parley_session_starts_total", {"kind": "translation"}) == 1


def test_tokens_are_counted_by_direction_and_priced() -> None:
    metrics = Metrics()
    usage = Tokens(text_in=1000, audio_in=600, audio_cached=5000, text_out=200, audio_out=1200)
    usd = metrics.tokens("voice_agent", usage, "gpt-realtime-2.1")
    assert math.isclose(usd, (1000 * 4 + 600 * 32 + 5000 * 0.4 + 200 * 24 + 1200 * 64) / 1e6)
    value = metrics.registry.get_sample_value
    assert math.isclose(value("parley_cost_usd_total", {"kind": "voice_agent"}) or 0, usd)
    assert [
        value("parley_tokens_total", {"kind": "voice_agent", "direction": direction})
        for direction in ("input", "input_cached", "output")
    ] == [1600, 5000, 1400]


def test_audio_that_is_charged_by_tokens_costs_nothing_by_the_minute() -> None:
    metrics = Metrics()
    assert metrics.sent("voice_agent", None, 60.0) == 0.0
    usd = metrics.transcribed("voice_agent", "gpt-realtime-whisper", 60.0)
    value = metrics.registry.get_sample_value
    assert math.isclose(usd, 0.017)
    assert value("parley_audio_sent_seconds_total", {"kind": "voice_agent"}) == 60.0
    assert math.isclose(value("parley_cost_usd_total", {"kind": "voice_agent"}) or 0, 0.017)


def test_cost_is_counted_at_the_prices_that_are_given() -> None:
    prices = LIST_PRICES.changed(
        {"gpt-realtime-2.1": {"audio_out": 1_000_000}, "gpt-realtime-translate": {"audio_minute": 60}}
    )
    metrics = Metrics(prices)
    assert metrics.tokens("voice_agent", Tokens(audio_out=3), "gpt-realtime-2.1") == 3.0
    assert metrics.sent("translation", "gpt-realtime-translate", 2.0) == 2.0

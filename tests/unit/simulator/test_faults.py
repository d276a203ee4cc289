"""Which session a fault hits, and what a fault may not be."""

import pytest

from parley.simulator import Fault, Faults, SessionRecord, SimulatorOptions
from parley.simulator.faults import fault_from_json


def record(name="sess_1", language="es", updated=True, audio_s=0.0):
    made = SessionRecord(name, "translation", "m", 100.0, language, audio_received_s=audio_s)
    made.updated_at = 100.1 if updated else None
    return made


def test_a_fault_hits_as_many_sessions_as_it_says_each_once():
    faults = Faults()
    faults.add(Fault("drop", times=2))
    first, second, third = record("a"), record("b"), record("c")
    assert len(faults.take(first, 100)) == 1
    assert faults.take(first, 100) == []
    assert len(faults.take(second, 100)) == 1
    assert faults.take(third, 100) == []
    assert faults.waiting() == []


def test_after_a_time_and_after_audio():
    faults = Faults()
    faults.add(Fault("expire", after_s=5))
    assert faults.take(record(), 104.9) == []
    assert faults.next_due(record()) == 105
    assert len(faults.take(record(), 105)) == 1
    faults.add(Fault("expire", after_audio_s=2))
    assert faults.take(record(audio_s=1.9), 999) == []
    assert faults.next_due(record(audio_s=1.9)) == float("inf")
    assert len(faults.take(record(audio_s=2.0), 100)) == 1


def test_a_language_counts_from_the_first_update_on():
    faults = Faults()
    faults.add(Fault("drop", language="es"))
    assert faults.take(record(updated=False), 100) == []
    assert faults.take(record(language="fr"), 100) == []
    assert len(faults.take(record(), 100)) == 1


def test_refusals_are_for_connects_only():
    faults = Faults()
    faults.add(Fault("refuse", status=429))
    assert faults.take(record(), 999) == []
    assert faults.take_refusal().error[0] == "rate_limit_exceeded"
    assert faults.take_refusal() is None
    faults.add(Fault("refuse", status=429, code="insufficient_quota"))
    assert faults.waiting()[0][0].error[0] == "insufficient_quota"
    faults.clear()
    assert faults.take_refusal() is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"kind": "explode"}, "kind"),
        ({}, "kind"),
        ({"kind": "drop", "languag": "fr"}, "languag"),
        ({"kind": "drop", "language": "xx"}, "language"),
        ({"kind": "drop", "after_s": -1}, "after_s"),
        ({"kind": "drop", "after_s": "1"}, "after_s"),
        ({"kind": "drop", "after_s": float("nan")}, "after_s"),
        ({"kind": "drop", "times": 0}, "times"),
        ({"kind": "drop", "times": True}, "times"),
        ({"kind": "refuse", "status": 200}, "status"),
        ({"kind": "refuse", "language": "fr"}, "language"),
        ({"kind": "close", "close_code": 1006}, "close_code"),
        ({"kind": "error", "code": 7}, "code"),
        ({"kind": "slow", "extra_lag_s": 61}, "extra_lag_s"),
        ([], "fault"),
    ],
)
def test_a_bad_fault_names_the_field(given, field):
    with pytest.raises(ValueError, match=rf"^{field}: got .*, allowed") as refused:
        fault_from_json(given)
    assert str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("delta_ms", 300), ("lag_clock", "x"), ("drain_speed", 0), ("port", 70_000), ("model_lag_s", -1)],
)
def test_a_bad_option_names_the_field(name, value):
    with pytest.raises(ValueError, match=rf"^{name}: got .*, allowed"):
        SimulatorOptions(**{name: value})


def test_after_audio_was_sent_and_for_one_kind_of_session():
    faults = Faults()
    faults.add(Fault("drop", after_sent_s=1.0, session="conversation"))
    speaking = record()
    speaking.audio_sent_s = 1.2
    assert faults.take(speaking, 100) == []
    speaking.kind, speaking.audio_sent_s = "conversation", 0.9
    assert faults.take(speaking, 100) == []
    speaking.audio_sent_s = 1.0
    assert faults.next_due(speaking) == 100.0
    assert len(faults.take(speaking, 100)) == 1
    for bad in ({"kind": "refuse", "session": "conversation"}, {"kind": "drop", "session": "captions"}):
        with pytest.raises(ValueError, match=r"^session: got"):
            fault_from_json(bad)

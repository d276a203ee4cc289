"""Metrics: recorded in each job, summed over all jobs of the worker in its main process.

prometheus_client's own multi-process mode leaves files of dead processes behind and counts them for
ever. Here a job sends what its registry holds to the main process; when the job ends, its counters stay
in the sums and its gauges go with it.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from .core.usage import LIST_PRICES, Prices, Tokens

KINDS = ("translation", "captions", "voice_agent")
DIRECTIONS = ("input", "input_cached", "output")
"""Of tokens. `input` are those that are not cached."""
EXPORTS = ("directory", "webhook")
"""Where room summaries go."""
_SPAN_BUCKETS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0)
_PATH_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 1.0, 2.5, 5.0, 10.0)
_CONNECT_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)


class Metrics:
    """The series of one job, in a registry of their own. No label carries an identity, a room or a word."""

    def __init__(self, prices: Prices = LIST_PRICES) -> None:
        self.prices = prices
        r = self.registry = CollectorRegistry()
        self.rooms = Gauge("parley_rooms", "Rooms that are served", registry=r)
        self.participants = Gauge("parley_participants", "People in those rooms", registry=r)
        self._sessions = Gauge("parley_sessions", "Open sessions of the API", ["kind"], registry=r)
        self._starts = Counter("parley_session_starts", "Sessions opened", ["kind"], registry=r)
        self._failures = Counter(
            "parley_session_failures",
            "Sessions lost, refused or in error",
            ["kind", "reason"],
            registry=r,
        )
        self._sent = Counter("parley_audio_sent_seconds", "Audio sent to the API", ["kind"], registry=r)
        self._received = Counter(
            "parley_audio_received_seconds", "Audio received from the API", ["kind"], registry=r
        )
        self._dropped = Counter(
            "parley_audio_dropped_seconds", "Audio dropped to stay within a bound", ["where"], registry=r
        )
        self._recovered = Counter(
            "parley_lag_recovered_seconds", "Lag that playout made up for", ["by"], registry=r
        )
        self._cost = Counter("parley_cost_usd", "Cost at list prices", ["kind"], registry=r)
        self._tokens = Counter("parley_tokens", "Tokens used", ["kind", "direction"], registry=r)
        self.ear_voice_span = Histogram(
            "parley_ear_voice_span_seconds",
            "From speech to its translation, per phrase",
            buckets=_SPAN_BUCKETS,
            registry=r,
        )
        self.ingress = Histogram(
            "parley_ingress_seconds", "From captured to on the wire", buckets=_PATH_BUCKETS, registry=r
        )
        self.egress = Histogram(
            "parley_egress_seconds",
            "From off the wire to handed to the track",
            buckets=_PATH_BUCKETS,
            registry=r,
        )
        self._connect = Histogram(
            "parley_connect_seconds",
            "Until a session is open",
            ["kind"],
            buckets=_CONNECT_BUCKETS,
            registry=r,
        )
        self._exports = Counter(
            "parley_exports",
            "Room summaries that were handed over, or could not be",
            ["to", "outcome"],
            registry=r,
        )
        self.state_failures = Counter(
            "parley_state_failures", "What a room knows could not be kept, or taken up", registry=r
        )
        self._queue = Gauge("parley_queue_seconds", "Audio waiting", ["where"], registry=r)
        for kind in KINDS:
            for metric in (
                self._sessions,
                self._starts,
                self._sent,
                self._received,
                self._cost,
                self._connect,
            ):
                metric.labels(kind)
        for direction in DIRECTIONS:
            self._tokens.labels("voice_agent", direction)
        self._dropped.labels("original")
        for by in ("silence", "speed"):
            self._recovered.labels(by)
        for to in EXPORTS:
            for outcome in ("done", "failed"):
                self._exports.labels(to, outcome)
        for where in ("ingress", "session", "playout"):
            self._dropped.labels(where)
            self._queue.labels(where)

    @contextmanager
    def session(self, kind: str) -> Iterator[None]:
        """Stands around one open session."""
        self._starts.labels(kind).inc()
        self._sessions.labels(kind).inc()
        try:
            yield
        finally:
            self._sessions.labels(kind).dec()

    def connected(self, kind: str, duration_s: float) -> None:
        """A session took this long to open."""
        self._connect.labels(kind).observe(duration_s)

    def session_failed(self, kind: str, reason: str) -> None:
        """A session was lost, refused or reported an error; `reason` is the error's class."""
        self._failures.labels(kind, reason).inc()

    def sent(self, kind: str, model: str | None, duration_s: float) -> float:
        """Audio went to a session of `model`: counted, and priced by the minute; returns its cost in USD.

        `model` is None where audio is charged by tokens, or not at all.
        """
        self._sent.labels(kind).inc(duration_s)
        return 0.0 if model is None else self.transcribed(kind, model, duration_s)

    def transcribed(self, kind: str, model: str, duration_s: float) -> float:
        """Audio was charged for by the minute, without having been sent for it; returns its cost in USD."""
        usd = duration_s * self.prices.usd_per_second(model)
        self._cost.labels(kind).inc(usd)
        return usd

    def tokens(self, kind: str, usage: Tokens, model: str) -> float:
        """Tokens of `model` were used: counted, and priced; returns their cost in USD."""
        for direction, count in zip(DIRECTIONS, (usage.input, usage.cached, usage.output), strict=True):
            self._tokens.labels(kind, direction).inc(count)
        usd = self.prices.usd(model, usage)
        self._cost.labels(kind).inc(usd)
        return usd

    def received(self, kind: str, duration_s: float) -> None:
        """Audio came from a session."""
        self._received.labels(kind).inc(duration_s)

    def dropped(self, where: str, duration_s: float) -> None:
        """Audio was dropped in `where`: ingress, session, playout or original."""
        self._dropped.labels(where).inc(duration_s)

    def recovered(self, silence_s: float, speed_s: float) -> None:
        """Lag was made up for: by silence that was left out, by speech that was played faster."""
        self._recovered.labels("silence").inc(silence_s)
        self._recovered.labels("speed").inc(speed_s)

    @property
    def dropped_s(self) -> dict[str, float]:
        """Seconds of audio dropped so far, by where."""
        samples = (sample for family in self._dropped.collect() for sample in family.samples)
        return {s.labels["where"]: s.value for s in samples if s.name.endswith("_total")}

    def exported(self, to: str, *, done: bool) -> None:
        """A room's summary was handed to `to` (directory, webhook), or could not be."""
        self._exports.labels(to, "done" if done else "failed").inc()

    def waiting(self, where: str, duration_s: float) -> None:
        """Audio that waits in `where` at this moment."""
        self._queue.labels(where).set(duration_s)


Snapshot = list[list[Any]]
"""[family name, type, help, [[sample name, [[label, value], …], value], …]] per family; JSON."""


def snapshot(registry: CollectorRegistry) -> Snapshot:
    """What a registry holds now, without creation times."""
    return [
        [
            family.name,
            family.type,
            family.documentation,
            [
                [sample.name, sorted(sample.labels.items()), sample.value]
                for sample in family.samples
                if not sample.name.endswith("_created")
            ],
        ]
        for family in registry.collect()
    ]


_Key = tuple[str, tuple[tuple[str, str], ...]]


class Sums(Collector):
    """The worker's series: all live jobs together, and what ended jobs counted."""

    def __init__(self) -> None:
        self._live: dict[int, Snapshot] = {}
        self._ended: dict[_Key, float] = {}
        self._zero = snapshot(Metrics().registry)

    @property
    def jobs(self) -> int:
        """Jobs that have reported and not ended."""
        return len(self._live)

    def update(self, job: int, reported: Snapshot) -> None:
        """Takes a job's newest report in place of its last one."""
        self._live[job] = reported

    def ended(self, job: int) -> None:
        """Keeps what a job counted; its gauges are gone with it."""
        for _, kind, _, samples in self._live.pop(job, []):
            if kind != "gauge":
                for name, labels, value in samples:
                    key = _key(name, labels)
                    self._ended[key] = self._ended.get(key, 0.0) + value

    def collect(self) -> Iterable[Metric]:
        """One metric family per name, its samples summed."""
        sums: dict[_Key, float] = dict(self._ended)
        families: dict[str, tuple[str, str, dict[_Key, None]]] = {}
        for reported in (self._zero, *self._live.values()):
            for name, kind, text, samples in reported:
                _, _, keys = families.setdefault(name, (kind, text, {}))
                for sample, labels, value in samples:
                    key = _key(sample, labels)
                    keys[key] = None
                    sums[key] = sums.get(key, 0.0) + value
        for key in self._ended:
            self._file(key, families)
        for name, (kind, text, keys) in families.items():
            metric = Metric(name, text, kind)
            for key in sorted(keys, key=_order):
                metric.add_sample(key[0], dict(key[1]), sums[key])
            yield metric

    @staticmethod
    def _file(key: _Key, families: dict[str, tuple[str, str, dict[_Key, None]]]) -> None:
        """Puts a sample that only ended jobs had back into its family."""
        sample = key[0]
        for suffix in ("_total", "_bucket", "_count", "_sum"):
            family = families.get(sample.removesuffix(suffix)) if sample.endswith(suffix) else None
            if family is not None:
                family[2].setdefault(key)
                return


def _key(name: str, labels: Iterable[Iterable[str]]) -> _Key:
    return name, tuple((str(k), str(v)) for k, v in labels)


def _order(key: _Key) -> tuple[str, list[tuple[str, float, str]]]:
    """Buckets by their bound, all else by name."""
    labels = [(k, float(v) if k == "le" else 0.0, v) for k, v in key[1]]
    return key[0], sorted(labels, key=lambda label: label[0] == "le")

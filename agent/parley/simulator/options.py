"""The settings of the simulator: one frozen object."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["SimulatorOptions"]


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How the simulator behaves. Raises ValueError, which names the field, for a value that is not
    allowed."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 takes a free port; `Simulator.base_url` says which."""
    model_lag_s: float = 0.8
    """Output for an input frame comes this much later. Rounded up to engine frames of 200 ms on the model
    clock."""
    lag_clock: Literal["model", "wall"] = "model"
    """`model`: the lag is counted in frames consumed, so model time stands still while no input comes, as the
    API documents. `wall`: the output of a frame comes `model_lag_s` after the frame arrived, whatever follows
    it."""
    handshake_s: float = 0.0
    """From the websocket's upgrade to `session.created`."""
    session_lifetime_s: float = 3600.0
    """From the opening of a session to its `expires_at`."""
    api_keys: frozenset[str] | None = None
    """None: any Bearer that is not empty. Otherwise HTTP 401 for all others."""
    delta_ms: Literal[200, 400] = 200
    """How much audio one output delta covers; what is audible is never held back for a frame that is
    silent."""
    drain_speed: float = 4.7
    """How many times real time the engine runs at most when it has audio waiting."""
    silent_deltas: bool = False
    """Whether frames in which nothing is audible give deltas of digital silence. What the API does is not
    known."""
    elapsed_of: Literal["input", "engine"] = "input"
    """What `elapsed_ms` of an output counts: the start of the input frame that it says, or the start of the
    engine frame in which it was said, which is the lag later. The API documents neither."""
    max_ahead_s: float = 30.0
    """How far a client's audio may run ahead of real time (a bucket that leaks at real time). Audio beyond it
    is refused with `rate_limit_exceeded`: audio at a wrong rate runs ahead for ever, catching up does not."""
    max_connections: int = 1000
    """Sessions open at once; HTTP 429 beyond."""
    records_kept: int = 500
    """Session records kept; the oldest go first."""

    def __post_init__(self) -> None:
        for name in ("model_lag_s", "handshake_s"):
            self._require(name, 0 <= getattr(self, name) <= 60, "0 to 60")
        self._require("port", 0 <= self.port <= 65535, "0 to 65535")
        self._require("lag_clock", self.lag_clock in ("model", "wall"), "model, wall")
        self._require("delta_ms", self.delta_ms in (200, 400), "200, 400")
        self._require("elapsed_of", self.elapsed_of in ("input", "engine"), "input, engine")
        for name in ("session_lifetime_s", "drain_speed", "max_ahead_s", "max_connections", "records_kept"):
            self._require(name, getattr(self, name) > 0, "more than 0")

    def _require(self, name: str, allowed: bool, what: str) -> None:
        if not allowed:
            raise ValueError(f"{name}: got {getattr(self, name)!r}, allowed: {what}")

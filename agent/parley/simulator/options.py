"""The settings of the simulator: one frozen object."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from .turns import Context, Turn
from .voice import Pcm

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

    recognise: Callable[[Pcm], list[str]] | None = None
    """Conversations: which words are in an utterance, `int16[n]` mono at 24 kHz. None: bursts of sound are
    numbered, as in a translation, and the transcript says that it is simulated."""
    recognise_word: Callable[[Pcm], list[str]] | None = None
    """Transcriptions: which words are in a burst of sound, `int16[n]` mono at 24 kHz with the quiet around
    it. None: bursts are numbered."""
    pronounce: Callable[[str], Pcm] | None = None
    """Conversations: how a word sounds, `int16[n]` mono at 24 kHz. None: `word_sound`."""
    script: Sequence[Turn] | Callable[[Context], Turn | None] = ()
    """Conversations: what is said (`script`). What the script leaves open is answered by repeating the
    user."""
    response_latency_s: float = 0.3
    """From a response's creation to its first output."""
    effort_step_s: float = 0.0
    """What each step of reasoning effort above `minimal` adds to that."""
    reply_speed: float = 4.0
    """How many times faster than real time a reply is sent."""
    reply_delta_ms: int = 200
    """How much audio one delta of a reply carries."""
    transcription_delay_s: float = 0.4
    """From a commit to the input transcription's first delta. Transcriptions: to the final text."""
    delay_scale: float = 1.0
    """Transcriptions: multiplies the time from a word to its delta, which the session's `delay` names."""
    turn_detection_omitted: Literal["off", "refused"] = "off"
    """Transcriptions by a model that detects no turns, where an update says nothing of turn detection. `off`:
    clients in use leave it out. `refused`: the session's default is in the way until the client sends
    null."""
    url_model: Literal["api", "ignored"] = "api"
    """Transcriptions with a `model` in the URL. `api`: it makes the session a conversation. `ignored`: as
    behind a gateway; LiveKit's own plugin sends it to any host other than OpenAI's."""
    phase_on_added: bool = False
    """Whether a message's `phase` is said when it is added, or only when it is done. The API documents only
    the latter."""
    nulls: Literal["schema", "tolerated"] = "schema"
    """`schema`: a null is refused where the published schema does not allow it. `tolerated`: for noise
    reduction and transcription it means off, as the API's documentation says, and for `instructions` nothing,
    as clients send it that are in use."""
    mcp_failing: frozenset[str] = frozenset()
    """Labels of MCP servers whose tools can't be listed."""
    tokens_per_minute: int = 4_000_000
    """What `rate_limits.updated` counts down from; nothing is refused for it."""

    def __post_init__(self) -> None:
        for name in (
            *("model_lag_s", "handshake_s", "response_latency_s", "effort_step_s", "transcription_delay_s"),
            "delay_scale",
        ):
            self._require(name, 0 <= getattr(self, name) <= 60, "0 to 60")
        self._require("reply_delta_ms", 20 <= self.reply_delta_ms <= 2000, "20 to 2000")
        self._require("nulls", self.nulls in ("schema", "tolerated"), "schema, tolerated")
        omitted = self.turn_detection_omitted
        self._require("turn_detection_omitted", omitted in ("off", "refused"), "off, refused")
        self._require("url_model", self.url_model in ("api", "ignored"), "api, ignored")
        self._require("port", 0 <= self.port <= 65535, "0 to 65535")
        self._require("lag_clock", self.lag_clock in ("model", "wall"), "model, wall")
        self._require("delta_ms", self.delta_ms in (200, 400), "200, 400")
        self._require("elapsed_of", self.elapsed_of in ("input", "engine"), "input, engine")
        for name in (
            *("session_lifetime_s", "drain_speed", "max_ahead_s", "max_connections", "records_kept"),
            *("reply_speed", "tokens_per_minute"),
        ):
            self._require(name, getattr(self, name) > 0, "more than 0")

    def _require(self, name: str, allowed: bool, what: str) -> None:
        if not allowed:
            raise ValueError(f"{name}: got {getattr(self, name)!r}, allowed: {what}")

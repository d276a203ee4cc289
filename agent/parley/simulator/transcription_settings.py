"""The settings of a transcription session: the defaults, what `session.update` may change, and what not."""

import re
from copy import deepcopy

from .input_settings import TURN_DETECTION, merge_input
from .options import SimulatorOptions
from .wire import ApiError, Event

__all__ = ["DELAYS_S", "TranscriptionSettings", "is_streaming"]

DELAYS_S = {"minimal": 0.2, "low": 0.4, "medium": 0.8, "high": 1.4, "xhigh": 2.4}
"""From the end of a word to its delta, by `transcription.delay`. The API documents the order but no times."""
_DEFAULT_DELAY = "medium"
_STREAMING = ("gpt-realtime-whisper", "gpt-live-transcribe")
_NO_PROMPT = ("gpt-4o-transcribe-diarize",)
_NO_VAD = "Turn detection is not supported for this transcription model."
_ECHOED = {
    "transcription": ("model", "language", "languages", "prompt"),
    "turn_detection": ("type", "threshold", "prefix_padding_ms", "silence_duration_ms"),
}


def is_streaming(model: str) -> bool:
    """Whether a model writes while it hears, and detects no turns; the others write what was committed."""
    return model in _STREAMING


class TranscriptionSettings:
    """The session's settings. An update that is refused changes nothing."""

    def __init__(self, session_id: str, expires_at: int, options: SimulatorOptions) -> None:
        self._options = options
        self._fixed = {"id": session_id, "object": "realtime.transcription_session", "type": "transcription"}
        self._expires_at = expires_at
        self.include: list[str] = []
        self.input: Event = {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": None,
            "noise_reduction": None,
            "turn_detection": TURN_DETECTION["server_vad"],
        }

    @property
    def model(self) -> str:
        """The transcription model; empty while none is set, and nothing is written."""
        return str((self.input["transcription"] or {}).get("model", ""))

    @property
    def delay_s(self) -> float:
        """From the end of a word to its delta."""
        named = (self.input["transcription"] or {}).get("delay", _DEFAULT_DELAY)
        return DELAYS_S[named] * self._options.delay_scale

    @property
    def languages(self) -> list[str]:
        """The languages that the client named."""
        given = self.input["transcription"] or {}
        return [*given.get("languages", ()), *([given["language"]] if "language" in given else ())]

    def update(self, given: Event) -> None:
        """Merge the `session` of a `session.update`. Raises ApiError."""
        wanted = given.get("audio", {}).get("input", {})
        merged = deepcopy(self.input)
        merge_input(merged, wanted)
        _check(merged["transcription"])
        self._check_turns(merged, "turn_detection" in wanted)
        self.input = merged
        self.include = given.get("include", self.include)

    def wire(self) -> Event:
        """The whole effective session, as `session.created` and `session.updated` carry it."""
        heard = deepcopy(self.input)
        for name in ("transcription", "noise_reduction"):
            if heard[name] is None:
                del heard[name]
        for name, echoed in _ECHOED.items():
            if heard.get(name) is not None:
                heard[name] = {key: value for key, value in heard[name].items() if key in echoed}
        fixed = {**self._fixed, "expires_at": self._expires_at}
        return {**fixed, "include": list(self.include), "audio": {"input": heard}}

    def _check_turns(self, merged: Event, named: bool) -> None:
        """A streaming model detects no turns: null or, by `turn_detection_omitted`, nothing said of it."""
        transcription = merged["transcription"] or {}
        if merged["turn_detection"] is None or not is_streaming(transcription.get("model", "")):
            return
        if named or self._options.turn_detection_omitted == "refused":
            raise ApiError("invalid_value", _NO_VAD, "session.audio.input.turn_detection")
        merged["turn_detection"] = None


def _check(given: Event | None) -> None:
    """What is said of transcription models beyond what conversations check."""
    where = "session.audio.input.transcription"
    if given is None:
        return
    if given["model"] in _NO_PROMPT and "prompt" in given:
        message = f"'prompt' is not supported with the transcription model '{given['model']}'."
        raise ApiError("unsupported_parameter", message, f"{where}.prompt")
    for name, languages in (
        ("language", [given.get("language", "en")]),
        ("languages", given.get("languages", [])),
    ):
        for language in languages:
            if not re.fullmatch("[a-z]{2}", language):
                message = (
                    f"Invalid language '{language[:100]}'. Language parameter must be in ISO-639-1 format."
                )
                raise ApiError("invalid_language_format", message, f"{where}.{name}")

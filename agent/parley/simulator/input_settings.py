"""The settings of `session.audio.input`: the defaults of turn detection, and what a schema does not say."""

from .wire import ApiError, Event, supported

__all__ = ["TRANSCRIPTION_MODELS", "TURN_DETECTION", "merge_input"]

TRANSCRIPTION_MODELS = (
    *("whisper-1", "gpt-transcribe", "gpt-live-transcribe", "gpt-4o-mini-transcribe"),
    *("gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-transcribe", "gpt-4o-transcribe-diarize"),
    "gpt-realtime-whisper",
)
TURN_DETECTION: dict[str, Event] = {
    "server_vad": {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
        "idle_timeout_ms": None,
    },
    "semantic_vad": {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    },
}


def merge_input(settings: Event, given: Event) -> None:
    """Merge `session.audio.input`. Raises ApiError."""
    where = "session.audio.input"
    settings |= {name: value for name, value in given.items() if name == "format"}
    if "noise_reduction" in given:
        wanted, had = given["noise_reduction"], settings["noise_reduction"] or {"strength": 1.0}
        if wanted is not None and not wanted.get("type", had.get("type")):
            raise ApiError(
                "missing_required_parameter",
                f"Missing required parameter: '{where}.noise_reduction.type'.",
                f"{where}.noise_reduction.type",
            )
        settings["noise_reduction"] = None if wanted is None else {**had, **wanted}
    if "transcription" in given:
        wanted, had = given["transcription"], settings["transcription"] or {}
        settings["transcription"] = None if wanted is None else {**had, **wanted}
        _check_transcription(settings["transcription"], f"{where}.transcription")
    if "turn_detection" in given:
        wanted, had = given["turn_detection"], settings["turn_detection"]
        if wanted is not None:
            same = had is not None and had["type"] == wanted["type"]
            wanted = {**(had if same and had else TURN_DETECTION[wanted["type"]]), **wanted}
            _check_turn_detection(wanted, f"{where}.turn_detection")
        settings["turn_detection"] = wanted


def _check_transcription(given: Event | None, where: str) -> None:
    if given is None:
        return
    model = given.get("model")
    if model is None:
        message = f"Missing required parameter: '{where}.model'."
        raise ApiError("missing_required_parameter", message, f"{where}.model")
    if model not in TRANSCRIPTION_MODELS:
        message = (
            f"Invalid value: '{model[:100]}'. Supported values are: {supported(list(TRANSCRIPTION_MODELS))}."
        )
        raise ApiError("invalid_value", message, f"{where}.model")
    takes = {
        "delay": ("gpt-realtime-whisper",),
        "keywords": ("gpt-transcribe", "gpt-live-transcribe"),
        "languages": ("gpt-transcribe", "gpt-live-transcribe"),
    }
    for name, models in takes.items():
        if name in given and model not in models:
            message = f"'{name}' is not supported with the transcription model '{model}'."
            raise ApiError("unsupported_parameter", message, f"{where}.{name}")
    if model == "gpt-realtime-whisper" and "prompt" in given:
        message = f"'prompt' is not supported with the transcription model '{model}'."
        raise ApiError("unsupported_parameter", message, f"{where}.prompt")


def _check_turn_detection(given: Event, where: str) -> None:
    for name, least, most in (
        ("threshold", 0, 1),
        ("prefix_padding_ms", 0, 60_000),
        ("silence_duration_ms", 0, 60_000),
    ):
        value = given.get(name, least)
        if not least <= value <= most:
            word = "decimal" if name == "threshold" else "integer"
            side, sign, bound = ("below_min", ">=", least) if value < least else ("above_max", "<=", most)
            said = {"below_min": "below minimum", "above_max": "above maximum"}[side]
            message = (
                f"Invalid '{where}.{name}': {word} {said} value. Expected a value {sign} {bound}, but got "
                f"{value} instead."
            )
            raise ApiError(f"{word}_{side}_value", message, f"{where}.{name}")

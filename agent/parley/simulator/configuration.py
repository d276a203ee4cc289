"""The settings of a conversation session: the defaults, what `session.update` may change, and what not."""

import json
from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import Any

from .input_settings import TURN_DETECTION, merge_input
from .voice import CUSTOM_VOICE, VOICES
from .wire import ApiError, Event, supported

__all__ = ["Configuration", "is_reasoning", "reply_settings", "tool_names"]

INSTRUCTIONS = "You are the Realtime simulator's model. Nothing that you say is meant."
_ECHOED_OF_TRANSCRIPTION = ("model", "language", "languages", "prompt")
_PCM = {"type": "audio/pcm", "rate": 24000}


def is_reasoning(model: str) -> bool:
    """Whether a model takes `reasoning` and `parallel_tool_calls`."""
    return model.startswith("gpt-realtime-2") and not model.startswith("gpt-realtime-20")


def tool_names(tools: list[Event]) -> tuple[str, ...]:
    """The names of the functions among the tools."""
    return tuple(tool["name"] for tool in tools if tool["type"] == "function")


class Configuration:
    """The session's settings. An update that is refused changes nothing."""

    def __init__(self, session_id: str, model: str, expires_at: int) -> None:
        self.model = model
        self.is_reasoning = is_reasoning(model)
        self.fixed = {"id": session_id, "object": "realtime.session", "expires_at": expires_at}
        self.has_spoken = False
        """Whether there was audio output, after which the voice can't be changed."""
        self.settings: Event = {
            "type": "realtime",
            "model": model,
            "output_modalities": ["audio"],
            "instructions": INSTRUCTIONS,
            "audio": {
                "input": {
                    "format": _PCM,
                    "transcription": None,
                    "noise_reduction": None,
                    "turn_detection": TURN_DETECTION["server_vad"],
                },
                "output": {"format": _PCM, "voice": "alloy", "speed": 1.0},
            },
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": "inf",
            "truncation": "auto",
            "tracing": None,
            "prompt": None,
            "include": [],
            "parallel_tool_calls": True,
        }
        if self.is_reasoning:
            self.settings["reasoning"] = {"effort": "low"}

    @property
    def input(self) -> Event:
        """`session.audio.input`."""
        given: Event = self.settings["audio"]["input"]
        return given

    @property
    def turn_detection(self) -> Event | None:
        """The settings of turn detection, with their defaults; None: the client commits."""
        given: Event | None = self.input["turn_detection"]
        return given

    def update(self, given: Event) -> None:
        """Merge the `session` of a `session.update`. Raises ApiError."""
        if given.get("model", self.model) != self.model:
            raise ApiError("invalid_value", "The model of a session cannot be changed.", "session.model")
        settings = deepcopy(self.settings)
        audio = given.get("audio", {})
        merge_input(settings["audio"]["input"], audio.get("input", {}))
        settings["audio"]["output"] |= audio.get("output", {})
        settings |= _set(given, ("audio",))
        self.check(given, settings, "session")
        if self.settings["tracing"] is not None and settings["tracing"] != self.settings["tracing"]:
            message = "Cannot update a conversation's tracing configuration once it is enabled."
            raise ApiError("cannot_update_tracing", message, "session.tracing")
        self.settings = settings

    def check(self, given: Event, settings: Event, path: str) -> None:
        """What a schema does not say of `session.update` and of `response.create`. Raises ApiError."""
        if not self.is_reasoning:
            for name in ("reasoning", "parallel_tool_calls"):
                if name in given:
                    message = f"'{name}' is not supported with the model '{self.model}'."
                    raise ApiError("unsupported_parameter", message, f"{path}.{name}")
        modalities = settings["output_modalities"]
        if modalities not in (["audio"], ["text"]):
            message = (
                f"Invalid modalities: {json.dumps(modalities)}. Supported combinations are: ['text'] and "
                "['audio']."
            )
            raise ApiError("invalid_value", message, f"{path}.output_modalities")
        most = settings["max_output_tokens"]
        if most != "inf" and not 1 <= most <= 4096:
            side, word = ("below_min", "minimum") if most < 1 else ("above_max", "maximum")
            message = f"Invalid '{path}.max_output_tokens': integer {side[:5]} {word} value."
            raise ApiError(f"integer_{side}_value", message, f"{path}.max_output_tokens")
        self._check_voice(settings, path)
        _check_tools(settings, path, "tool_choice" in given)

    def wire(self) -> Event:
        """The whole effective session, as `session.created` and `session.updated` carry it."""
        sent = deepcopy(self.settings)
        del sent["parallel_tool_calls"]
        heard = sent["audio"]["input"]
        for name in ("transcription", "noise_reduction"):
            if heard[name] is None:
                del heard[name]
        if "transcription" in heard:
            wanted = heard["transcription"]
            heard["transcription"] = {n: v for n, v in wanted.items() if n in _ECHOED_OF_TRANSCRIPTION}
        sent["audio"]["output"]["voice"] = voice_name(sent["audio"]["output"]["voice"])
        return {**self.fixed, **sent}

    def _check_voice(self, settings: Event, path: str) -> None:
        voice = settings["audio"]["output"]["voice"]
        where = f"{path}.audio.output.voice"
        if isinstance(voice, str) and voice not in VOICES:
            message = f"Invalid value: '{voice[:100]}'. Supported values are: {supported(list(VOICES))}."
            raise ApiError("invalid_value", message, where)
        if self.has_spoken and voice != self.settings["audio"]["output"]["voice"]:
            message = "Cannot update a conversation's voice if assistant audio is present."
            raise ApiError("cannot_update_voice", message, where)


def voice_name(voice: str | Event) -> str:
    """A voice by its name or its id."""
    return voice if isinstance(voice, str) else str(voice["id"])


def marker_of(voice: str | Event) -> str:
    """Which of `VOICE_HZ` marks a voice."""
    return voice if isinstance(voice, str) else CUSTOM_VOICE


def reply_settings(settings: Event, given: Event) -> Event:
    """The settings of one response: the session's, with what `response.create` says of its own."""
    merged = deepcopy(settings)
    output = {**merged["audio"]["output"], **given.get("audio", {}).get("output", {})}
    merged["audio"] = {"output": output}
    own = ("conversation", "input", "metadata", "audio")
    return merged | _set(given, own)


def _set(given: Event, apart: Collection[str]) -> Event:
    """What is given besides some names; instructions that are null, where that is tolerated, are not."""
    kept = {name: value for name, value in given.items() if name not in apart}
    if kept.get("instructions", "") is None:
        del kept["instructions"]
    return kept


def _check_tools(settings: Mapping[str, Any], path: str, chosen: bool) -> None:
    """A tool that is chosen must be there; functions have different names."""
    names = tool_names(settings["tools"])
    if len(set(names)) < len(names):
        raise ApiError("invalid_value", "Tool names must be unique.", f"{path}.tools")
    choice = settings["tool_choice"] if chosen else None
    if isinstance(choice, dict) and choice["type"] == "function" and choice["name"] not in names:
        message = f"Tool choice '{choice['name'][:100]}' not found in 'tools' parameter."
        raise ApiError("invalid_value", message, f"{path}.tool_choice")
    labels = {tool["server_label"] for tool in settings["tools"] if tool["type"] == "mcp"}
    if isinstance(choice, dict) and choice["type"] == "mcp" and choice["server_label"] not in labels:
        message = f"Tool choice '{choice['server_label'][:100]}' not found in 'tools' parameter."
        raise ApiError("invalid_value", message, f"{path}.tool_choice")

"""Speech from espeak-ng, called in its own library; no process, no sound device, no network."""

from __future__ import annotations

import _ctypes
import ctypes
import functools
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from parley.errors import UnavailableError

from .audio import Pcm

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_UTF8 = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_LONGEST_PATH = 150
_VOICES = {"en": "en-us", "zh": "cmn"}

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class SpeechUnavailable(UnavailableError):
    """No synthesiser, or it doesn't speak this language; `str()` is one line that says what to do."""


class _Library:
    """espeak-ng, loaded anew for each piece of speech: 4 ms that make the same words the same sound.

    The library keeps its state in global variables (the phase of the voice, the noise of the breath), which
    go on from word to word and which nothing but loading resets. One caller at a time.
    """

    def __init__(self, library_path: str, data_path: bytes) -> None:
        self._library: Any = ctypes.CDLL(library_path)
        self._library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]
        self.rate_hz: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data_path, _DONT_EXIT)
        self._chunks: list[bytes] = []
        self._callback: Callable[..., int] = _Callback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(ctypes.string_at(samples, count * 2))
        return 0

    def speak(self, text: str, language: str, variant: str, pitch: int, rate: int) -> Pcm:
        if self.rate_hz <= 0:
            raise SpeechUnavailable("espeak-ng did not start: reinstall espeakng-loader")
        code = language.split("-")[0].lower()
        name = f"{_VOICES.get(code, code)}+{variant}".encode()
        if self._library.espeak_SetVoiceByName(name) != 0:
            raise SpeechUnavailable(f"espeak-ng does not speak {language!r}")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, 30)):
            self._library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        status = self._library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, _UTF8, None, None)
        if status != 0:
            raise SpeechUnavailable(f"espeak-ng refused {text!r}: status {status}")
        return np.frombuffer(b"".join(self._chunks), np.int16)

    def close(self) -> None:
        handle = self._library._handle
        self._library.espeak_Terminate()
        self._library = None
        _ctypes.dlclose(handle)


@functools.cache
def _paths() -> tuple[str, bytes, object]:
    """The library, its data, and what keeps the data's short name alive."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise SpeechUnavailable(
            "the demo's voices need espeak-ng: pip install 'livekit-parley[demo]'"
        ) from error
    data = str(espeakng_loader.get_data_path())
    link: tempfile.TemporaryDirectory[str] | None = None
    if len(data.encode()) > _LONGEST_PATH:
        # The library silently cuts a path of 160 characters or more.
        link = tempfile.TemporaryDirectory(prefix="parley-espeak-")
        short = Path(link.name, "espeak-ng-data")
        short.symlink_to(data, target_is_directory=True)
        data = str(short)
    return espeakng_loader.get_library_path(), data.encode(), link


_lock = threading.Lock()


def synthesise(text: str, language: str, *, variant: str, pitch: int, rate: int) -> tuple[Pcm, int]:
    """Speak `text`; returns `int16[n]` mono as espeak-ng makes it, and its rate in Hz. Any thread may call.

    The same arguments give the same samples, in this process and in others. `language`: BCP-47, the first
    part counts. `variant`: a voice variant of espeak-ng, e.g. `m3`. `pitch`: 0 to 99. `rate`: words a
    minute, 80 to 450.

    Raises SpeechUnavailable: the package espeakng-loader is missing, or the language is.
    """
    with _lock:
        library_path, data_path, _ = _paths()
        library = _Library(library_path, data_path)
        try:
            return library.speak(text, language, variant, pitch, rate), library.rate_hz
        finally:
            library.close()

"""What an append event carries: base64 of PCM16, mono, 24 kHz, or of G.711 where a session is set to it."""

import base64
import binascii

from .g711 import Law, decode, encode
from .voice import Pcm
from .wire import ApiError, Event

__all__ = ["MOST_BYTES", "decode_audio", "decode_pcm", "encode_audio"]

MOST_BYTES = 15 * 1024 * 1024
"""Audio in one event."""
_LAWS: dict[str, Law] = {"audio/pcmu": "pcmu", "audio/pcma": "pcma"}


def decode_audio(audio: str, given: Event, param: str = "audio") -> bytes:
    """The PCM16 bytes at 24 kHz of audio in a session's format. Raises ApiError, which names `param`."""
    law = _LAWS.get(given.get("type", ""))
    if law is None:
        return decode_pcm(audio, param)
    data = _decoded(audio, f"Invalid '{param}'. Expected base64-encoded audio bytes ({law} at 8kHz)", param)
    return decode(data, law).astype("<i2", copy=False).tobytes()


def encode_audio(pcm: Pcm, given: Event) -> str:
    """`int16[n]` at 24 kHz as base64 in a session's format."""
    law = _LAWS.get(given.get("type", ""))
    data = pcm.astype("<i2", copy=False).tobytes() if law is None else encode(pcm, law)
    return base64.b64encode(data).decode()


def decode_pcm(audio: str, param: str = "audio") -> bytes:
    """The PCM16 bytes of an append. Raises ApiError, which names `param`."""
    wanted = f"Invalid '{param}'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz)"
    data = _decoded(audio, wanted, param)
    if len(data) % 2:
        raise ApiError("invalid_value", f"{wanted} but got an odd number of bytes.", param)
    return data


def _decoded(audio: str, wanted: str, param: str) -> bytes:
    if len(audio) > MOST_BYTES * 4 // 3 + 4:
        raise ApiError("invalid_value", f"{wanted} of at most 15 MiB.", param)
    try:
        data = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError("invalid_value", f"{wanted} but got an invalid value.", param) from None
    if len(data) > MOST_BYTES:
        raise ApiError("invalid_value", f"{wanted} of at most 15 MiB.", param)
    if not data:
        raise ApiError("invalid_value", f"{wanted} but got no audio.", param)
    return data

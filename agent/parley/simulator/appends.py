"""What an append event carries: base64 of PCM16, mono, 24 kHz."""

import base64
import binascii

from .wire import ApiError

__all__ = ["MOST_BYTES", "decode_pcm"]

MOST_BYTES = 15 * 1024 * 1024
"""Audio in one event."""


def decode_pcm(audio: str, param: str = "audio") -> bytes:
    """The PCM16 bytes of an append. Raises ApiError, which names `param`."""
    wanted = f"Invalid '{param}'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz)"
    if len(audio) > MOST_BYTES * 4 // 3 + 4:
        raise ApiError("invalid_value", f"{wanted} of at most 15 MiB.", param)
    try:
        data = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        raise ApiError("invalid_value", f"{wanted} but got an invalid value.", param) from None
    if len(data) > MOST_BYTES:
        raise ApiError("invalid_value", f"{wanted} of at most 15 MiB.", param)
    if not data or len(data) % 2:
        got = "an odd number of bytes" if data else "no audio"
        raise ApiError("invalid_value", f"{wanted} but got {got}.", param)
    return data

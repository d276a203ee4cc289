"""The frame in which audio is played: 20 ms of PCM16 mono at 24 kHz."""

from parley.core.framing import RATE_HZ

FRAME_S = 0.02
FRAME_SAMPLES = round(RATE_HZ * FRAME_S)
FRAME_BYTES = 2 * FRAME_SAMPLES
SILENCE = bytes(FRAME_BYTES)

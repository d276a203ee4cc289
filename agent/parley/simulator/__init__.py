"""A stand-in for the OpenAI Realtime API, as strict as the API: it refuses what the API refuses.

    async with Simulator(SimulatorOptions()) as sim:
        ...  # OPENAI_BASE_URL = sim.base_url

Translation sessions are simulated; conversation and transcription sessions get HTTP 501. Nothing is
translated: the output audio repeats the input under a quiet pilot tone that names the language (`voice`), the
transcripts count the words heard and say that they are simulated (`transcript`). What is not known of the API
can be set (`options`).
"""

from .faults import Fault, Faults
from .options import SimulatorOptions
from .records import SessionRecord
from .server import Simulator
from .voice import LANGUAGES, MARKER_HZ, language_of, speak

__all__ = [
    "LANGUAGES",
    "MARKER_HZ",
    "Fault",
    "Faults",
    "SessionRecord",
    "Simulator",
    "SimulatorOptions",
    "language_of",
    "speak",
]

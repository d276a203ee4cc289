"""A stand-in for the OpenAI Realtime API, as strict as the API: it refuses what the API refuses.

    async with Simulator(SimulatorOptions()) as sim:
        ...  # OPENAI_BASE_URL = sim.base_url

Translation, conversation and transcription sessions are simulated. Nothing is translated or thought: the
output audio repeats the input under a quiet pilot tone that names the language, or the voice (`voice`), and
what is made up says that it is simulated. A conversation says what a test or a demo writes for it (`script`).
What is not known of the API can be set (`options`).
"""

from .faults import Fault, Faults
from .options import SimulatorOptions
from .records import ItemRecord, ResponseRecord, SessionRecord, UsageTotals
from .script import Script
from .server import Simulator
from .speech import word_sound
from .turns import Approval, Call, Context, Line, McpCall, Turn
from .voice import LANGUAGES, MARKER_HZ, VOICE_HZ, VOICES, language_of, speak, voice_of

__all__ = [
    "LANGUAGES",
    "MARKER_HZ",
    "VOICES",
    "VOICE_HZ",
    "Approval",
    "Call",
    "Context",
    "Fault",
    "Faults",
    "ItemRecord",
    "Line",
    "McpCall",
    "ResponseRecord",
    "Script",
    "SessionRecord",
    "Simulator",
    "SimulatorOptions",
    "Turn",
    "UsageTotals",
    "language_of",
    "speak",
    "voice_of",
    "word_sound",
]

"""Makes the bridges of a room: translations, and captions of a speaker's own words."""

from collections.abc import Callable
from dataclasses import dataclass

from livekit.plugins.openai_realtime.options import TranscriptionOptions
from parley.bridges.captions import CaptionsBridge, CaptionsPolicy
from parley.bridges.surroundings import Surroundings
from parley.bridges.translation import BridgePolicy, TranslationBridge
from parley.core.model import ORIGINAL, BridgeSpec
from parley.metrics import Metrics
from parley.ports import Access, Bridge, Dial, Notices, TextOut

from .costs import RoomCosts


@dataclass(frozen=True, slots=True)
class BridgeMaker:
    """What all bridges of one room have in common."""

    translation: BridgePolicy
    captions: CaptionsPolicy
    dial: Dial
    notices: Notices
    metrics: Metrics
    access: Access
    costs: RoomCosts
    payer: Callable[[str], str]
    """Who pays for what a reader reads."""
    hints: Callable[[TranscriptionOptions, str], TranscriptionOptions]
    """Tells a transcription session what is known of a speaker, given by identity, and of the room."""
    changed: Callable[[], None]

    def __call__(self, spec: BridgeSpec, text: TextOut) -> Bridge:
        """A bridge that does nothing yet."""
        around = Surroundings(
            text,
            self.notices,
            self.metrics,
            self.access,
            lambda of: self.costs.bridge(of, self.payer),
            self.costs.record.span,
            self.changed,
        )
        if spec.key.language == ORIGINAL:
            return CaptionsBridge(spec, self.captions, around, self.dial.listen, self.hints)
        return TranslationBridge(spec, self.translation, around, self.dial, None)

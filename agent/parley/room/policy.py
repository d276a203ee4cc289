"""What a room is told by the settings."""

from dataclasses import dataclass, field

from parley.bridges.captions import CaptionsPolicy
from parley.bridges.translation import BridgePolicy
from parley.core.model import Preferences
from parley.core.preferences import Allowed
from parley.core.vocabulary import Vocabulary
from parley.media.gate import GatePolicy

from .agents import AgentPolicy
from .costs import CostPolicy
from .layouts import LayoutPolicy
from .minutes import MinutesPolicy


@dataclass(frozen=True, slots=True)
class RoomPolicy:
    """One room's part of the settings."""

    bridge: BridgePolicy
    gate: GatePolicy
    defaults: Preferences
    allowed: Allowed
    sessions: int
    sessions_each: int | None = None
    """Sessions of one participant, as speaker and as listener; None: only the room's limit holds."""
    captions: CaptionsPolicy = field(default_factory=CaptionsPolicy)
    hosts: tuple[str, ...] = ()
    """Who may set preferences of others, `*` for everybody."""
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    """What is spoken of in the rooms."""
    layout: LayoutPolicy = field(default_factory=LayoutPolicy)
    costs: CostPolicy = field(default_factory=CostPolicy)
    agents: AgentPolicy | None = None
    """None: there are no voice agents."""
    minutes: MinutesPolicy = field(default_factory=MinutesPolicy)
    native_logs: bool = True
    """Whether what LiveKit's native side logs is logged with the rest, which costs a thirtieth of a job."""

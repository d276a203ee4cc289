"""The ports of a bridge, but for its sessions."""

from collections.abc import Callable
from dataclasses import dataclass

from parley.core.accounts import Account
from parley.core.model import BridgeSpec
from parley.metrics import Metrics
from parley.ports import Access, Notices, TextOut

OpenAccount = Callable[[Callable[[], BridgeSpec]], Account]
"""Opens the account of one session, for whom the bridge is at each moment."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a bridge reads from and tells."""

    text: TextOut
    notices: Notices
    metrics: Metrics
    access: Access
    account: OpenAccount
    span: Callable[[str, float], None] = lambda language, span_s: None
    """Told the ear-voice span of each phrase, with its language."""
    changed: Callable[[], None] = lambda: None
    """Called when the bridge begins or ceases to fail."""

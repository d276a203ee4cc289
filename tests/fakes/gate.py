"""Rooms of one worker at its gate, without processes between them."""

from parley.access import Access, Gatekeeper


def rooms(count: int, most_streams: int | None = None) -> tuple[Gatekeeper, list[Access]]:
    """So many rooms of one worker."""
    gatekeeper = Gatekeeper(most_streams)
    made = []
    for number in range(1, count + 1):
        access = Access()
        gatekeeper.enter(number, access.take)
        access.connected(lambda message, number=number: gatekeeper.take(number, message))  # type: ignore[misc]
        made.append(access)
    return gatekeeper, made

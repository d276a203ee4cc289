"""Where one session may end and the next begin: in a dip of the voice, if there is one in time."""

from parley.core.seam import Seam

VOICE, DIP = [1.0] * 5, [0.01] * 5


def heard(seam: Seam, *blocks: list[float]) -> list[bool]:
    """What is said of blocks of 50 ms."""
    return [seam.hear(block, seam.began + 0.05 * (n + 1)) for n, block in enumerate(blocks)]


def test_at_first_only_a_pause_will_do() -> None:
    assert heard(Seam(5.0, 5.0), VOICE, VOICE, DIP, DIP, VOICE) == [False] * 5
    assert heard(Seam(5.0, 5.0), VOICE, *[DIP] * 4)[-1]


def test_later_a_short_dip_will_do() -> None:
    seam = Seam(5.0, 1.0)
    assert not any(heard(seam, *[VOICE] * 18))
    assert seam.hear(DIP, 5.95)


def test_when_time_is_over_it_is_here_dip_or_no_dip() -> None:
    assert heard(Seam(5.0, 0.2), *[VOICE] * 4) == [False, False, False, True]


def test_without_time_to_look_it_is_here() -> None:
    assert Seam(5.0, 0.0).hear(VOICE, 5.0)

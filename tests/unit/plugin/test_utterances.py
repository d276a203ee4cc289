"""Turns of the user: what of them is still owed to the conversation."""

from livekit.plugins.openai_realtime.input_log import InputLog
from livekit.plugins.openai_realtime.utterances import Utterances


def made(ms: int = 1000, kept_max_s: float = 60.0) -> tuple[InputLog, Utterances]:
    log = InputLog(kept_max_s=60.0, unsent_max_s=30.0)
    log.push(b"".join((value % 30_000).to_bytes(2, "little") for value in range(24 * ms)))
    log.take(log.end, 10**9)
    return log, Utterances(log, kept_max_s=kept_max_s)


def test_a_turn_found_by_the_server() -> None:
    log, turns = made()
    turns.started("a", 100)
    assert turns.speaking
    turns.stopped("a", 500)
    assert turns.committed("a", owes_response=True) == "a"
    assert not turns.speaking
    assert turns.transcribing
    assert turns.unanswered == "a"
    assert log.settled == 500 * 24
    assert len(turns.audio()["a"]) == 400 * 48
    assert turns.audio()["a"][:2] == (2400).to_bytes(2, "little")
    assert turns.heard("a", "good ") == "good "
    assert turns.heard("a", "morning") == "good morning"
    assert turns.transcribed("a") == "good morning"
    assert turns.audio() == {}
    assert not turns.transcribing


def test_a_turn_ended_by_the_client() -> None:
    log, turns = made()
    turns.mark(12_000)
    turns.mark(24_000)
    turns.committed("a", owes_response=False)
    assert turns.marks == (24_000,)
    assert log.settled == 12_000
    turns.committed("b", owes_response=False)
    assert {name: len(pcm) // 2 for name, pcm in turns.audio().items()} == {"a": 12_000, "b": 12_000}
    assert turns.unanswered is None


def test_a_commit_the_server_refused_is_forgotten() -> None:
    _, turns = made()
    turns.mark(12_000)
    turns.unmark()
    turns.unmark()
    assert turns.marks == ()


def test_a_connection_that_is_lost_leaves_what_was_committed() -> None:
    _, turns = made()
    turns.started("a", 0)
    turns.stopped("a", 200)
    turns.committed("a", owes_response=True)
    turns.heard("a", "go")
    turns.started("b", 300)
    turns.lost()
    assert not turns.speaking
    assert list(turns.audio()) == ["a"]
    assert turns.heard("a", "good") == "good"
    assert turns.unanswered == "a"


def test_a_turn_said_again_keeps_its_name() -> None:
    log, turns = made()
    turns.started("a", 0)
    turns.stopped("a", 200)
    turns.committed("a", owes_response=True)
    turns.lost()
    turns.say_again("a")
    settled = log.settled
    assert turns.committed("z", owes_response=True) == "a"
    assert log.settled == settled
    assert list(turns.audio()) == ["a"]
    assert turns.committed("y", owes_response=False) == "y"


def test_a_turn_that_cannot_be_said_again() -> None:
    _, turns = made()
    turns.committed("a", owes_response=False)
    turns.say_again("a")
    assert turns.not_again() == "a"
    assert turns.audio() == {}
    assert turns.not_again() is None


def test_only_so_much_audio_is_kept() -> None:
    _, turns = made(ms=3000, kept_max_s=1.0)
    for place, name in enumerate("abc"):
        turns.started(name, place * 1000)
        turns.stopped(name, place * 1000 + 700)
        turns.committed(name, owes_response=False)
    assert list(turns.audio()) == ["c"]


def test_a_deleted_turn_is_not_answered() -> None:
    _, turns = made()
    turns.committed("a", owes_response=True)
    turns.deleted("a")
    assert turns.unanswered is None
    assert turns.audio() == {}

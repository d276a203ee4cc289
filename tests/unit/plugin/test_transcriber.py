"""Utterances across connections: what is sent when, what is told, and what is kept."""

import pytest

from livekit.plugins.openai_realtime.errors import RealtimeError, from_error_event
from livekit.plugins.openai_realtime.events import (
    Committed,
    ErrorReported,
    NotTranscribed,
    Transcribed,
    Words,
)
from livekit.plugins.openai_realtime.hearing import TranscriberPolicy
from livekit.plugins.openai_realtime.quiet import quietest
from livekit.plugins.openai_realtime.spoken import BYTES_PER_S, Line
from livekit.plugins.openai_realtime.transcriber import Append, Commit, Leg, Transcriber
from unit.plugin.transcribing import FRAME, FRAME_S, silence, word, words_in

FAULT = from_error_event({"code": "server_error", "message": "m"})


class Stage:
    """A transcriber with a clock that goes on with what is heard."""

    def __init__(self, **policy: float) -> None:
        self.transcriber = Transcriber(TranscriberPolicy(**policy), prefix="u")  # type: ignore[arg-type]
        self.now = 100.0

    def hear(self, pcm: bytes, *, speaking: bool = True, pre_roll: tuple[bytes, ...] = ()) -> None:
        for start in range(0, len(pcm), FRAME):
            frame = pcm[start : start + FRAME]
            self.now += len(frame) / BYTES_PER_S
            self.transcriber.hear(frame, self.now, speaking, pre_roll)

    def say(self, pcm: bytes) -> None:
        """An utterance with its end."""
        self.hear(pcm)
        self.hear(bytes(FRAME), speaking=False)

    def sent(self, leg: Leg) -> list[bytes | str]:
        """What is taken, appends in a row as one."""
        steps: list[bytes | str] = []
        while (step := leg.take(self.now)) is not None:
            if isinstance(step, Commit):
                steps.append(step.event_id)
            elif steps and isinstance(steps[-1], bytes):
                steps[-1] += step.pcm
            else:
                steps.append(step.pcm)
        return steps

    def known(self, leg: Leg, item: str, text: str) -> list[Line]:
        return leg.take_event(Transcribed(item, text, None, None), self.now)

    def committed(self, leg: Leg, item: str) -> None:
        assert leg.take_event(Committed(item, None), self.now) == []


def texts(lines: list[Line]) -> list[tuple[str, str, bool]]:
    return [(line.id, line.text, line.final) for line in lines]


def test_speech_is_sent_with_what_came_before_it_and_committed_after_its_pause() -> None:
    stage = Stage(hangover_s=0.2)
    leg = stage.transcriber.begin()
    stage.hear(silence(1.0), speaking=False)
    assert stage.sent(leg) == []
    first = word(1)[:FRAME]
    stage.now += FRAME_S
    stage.transcriber.hear(first, stage.now, True, (b"\1\0", b"\2\0"))
    stage.hear(word(1) + silence(0.2))
    ended_at = stage.now - 0.2
    stage.hear(bytes(FRAME), speaking=False)
    assert stage.sent(leg) == [b"\1\0\2\0" + first + word(1) + silence(0.2), "ucommit_1"]
    stage.committed(leg, "i")
    (line,) = leg.take_event(Transcribed("i", " Hello. ", None, 0.5), stage.now)
    assert (line.id, line.text, line.final, line.confidence) == ("u1", "Hello.", True, 0.5)
    assert line.started_at == pytest.approx(101.0)
    assert line.ended_at == pytest.approx(ended_at)
    assert stage.transcriber.owed == 0
    assert leg.sent_s == pytest.approx(stage.now - 100 - 1.0 - FRAME_S, abs=0.001)


def test_live_audio_goes_in_small_pieces_and_what_waited_in_larger_ones() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    assert stage.transcriber.hear(bytes(480), 100.01, True) is False
    assert leg.take(100.01) is None
    stage.transcriber.hear(bytes(1440), 100.04, True)
    step = leg.take(100.04)
    assert isinstance(step, Append)
    assert len(step.pcm) == 1920
    stage.hear(word(1, 2.0))
    assert stage.transcriber.waiting_s == pytest.approx(2.0)
    step = leg.take(stage.now)
    assert isinstance(step, Append)
    assert len(step.pcm) == BYTES_PER_S // 2


def test_words_come_before_the_commit_and_grow_until_the_final() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    stage.hear(word(1))
    stage.sent(leg)
    assert texts(leg.take_event(Words("i", " Hel"), stage.now)) == [("u1", "Hel", False)]
    stage.say(word(1))
    stage.sent(leg)
    stage.committed(leg, "i")
    assert texts(leg.take_event(Words("i", "lo"), stage.now)) == [("u1", "Hello", False)]
    assert texts(stage.known(leg, "i", "Hallo.")) == [("u1", "Hallo.", True)]
    assert leg.take_event(Words("i", " late"), stage.now) == []


def test_words_before_a_commit_belong_to_the_oldest_utterance_without_an_item() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    stage.say(word(1))
    stage.hear(word(2))
    stage.sent(leg)
    assert texts(leg.take_event(Words("a", "one"), stage.now)) == [("u1", "one", False)]
    assert texts(leg.take_event(Words("b", "two"), stage.now)) == [("u2", "two", False)]
    assert leg.take_event(Words("c", "whose"), stage.now) == []


def test_finals_come_in_the_order_of_speech() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    for number in (1, 2, 3):
        stage.say(word(number))
        stage.sent(leg)
        stage.committed(leg, f"i{number}")
    assert stage.known(leg, "i2", "two") == []
    assert stage.known(leg, "i3", "three") == []
    assert texts(stage.known(leg, "i1", "one")) == [
        ("u1", "one", True),
        ("u2", "two", True),
        ("u3", "three", True),
    ]


def test_a_lost_connection_is_followed_by_all_that_is_not_known_each_with_its_commit() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    for number in (1, 2):
        stage.say(word(number))
        stage.sent(leg)
        stage.committed(leg, f"i{number}")
    stage.hear(word(3))
    stage.sent(leg)
    stage.known(leg, "i2", "two")
    assert leg.lost() == []
    stage.hear(word(4))
    assert stage.known(leg, "i1", "too late") == []
    assert leg.take(stage.now) is None
    again = stage.transcriber.begin()
    sent = stage.sent(again)
    assert sent[:2] == [word(1), "ucommit_3"]
    assert isinstance(sent[2], bytes)
    assert words_in(sent[2]) == [3, 4]
    stage.committed(again, "j")
    assert texts(stage.known(again, "j", "one")) == [("u1", "one", True), ("u2", "two", True)]


def test_what_was_shown_is_not_taken_back_by_another_connection() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    stage.hear(word(1))
    stage.sent(leg)
    assert len(leg.take_event(Words("a", "The cat sat"), stage.now)) == 1
    leg.lost()
    leg = stage.transcriber.begin()
    stage.say(word(1))
    stage.sent(leg)
    stage.committed(leg, "b")
    assert leg.take_event(Words("b", "the cat"), stage.now) == []
    assert texts(leg.take_event(Words("b", " sat, on"), stage.now)) == [("u1", "the cat sat, on", False)]
    leg.lost()
    leg = stage.transcriber.begin()
    stage.sent(leg)
    stage.committed(leg, "c")
    assert leg.take_event(Words("c", "A dog sat on the mat, too"), stage.now) == []
    assert texts(stage.known(leg, "c", "The dog sat.")) == [("u1", "The dog sat.", True)]


def test_what_cannot_be_transcribed_is_sent_once_more_then_reported() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    stage.say(word(1))
    assert stage.sent(leg) == [word(1), "ucommit_1"]
    stage.committed(leg, "a")
    assert leg.take_event(NotTranscribed("a", FAULT), stage.now) == []
    assert stage.sent(leg) == [word(1), "ucommit_2"]
    stage.committed(leg, "b")
    (line,) = leg.take_event(NotTranscribed("b", FAULT), stage.now)
    assert (line.text, line.final, line.error) == ("", True, FAULT)
    assert stage.transcriber.owed == 0
    assert stage.transcriber.kept_s == 0


@pytest.mark.parametrize("ending", [NotTranscribed("a", FAULT), Transcribed("a", "", None, None)])
def test_words_that_were_heard_are_the_final_ones_if_no_others_come(ending: object) -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    stage.say(word(1))
    stage.sent(leg)
    stage.committed(leg, "a")
    leg.take_event(Words("a", "half a"), stage.now)
    (line,) = leg.take_event(ending, stage.now)  # type: ignore[arg-type]
    assert (line.text, line.final) == ("half a", True)
    assert line.error is (FAULT if isinstance(ending, NotTranscribed) else None), "what is missing is told"


def test_an_utterance_without_words_makes_no_line() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    stage.say(word(1))
    stage.sent(leg)
    stage.committed(leg, "a")
    assert stage.known(leg, "a", " ") == []
    assert stage.transcriber.owed == 0


def test_a_cough_is_padded_to_what_the_api_takes() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    stage.say(word(1, 0.04))
    assert stage.sent(leg) == [word(1, 0.04) + silence(0.06), "ucommit_1"]


def test_a_commit_refused_as_empty_is_tried_once_more() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    stage.say(word(1))
    stage.sent(leg)
    refused: dict[str, object] = {"code": "input_audio_buffer_commit_empty"}
    refusal = ErrorReported(from_error_event({**refused, "event_id": "ucommit_1"}))
    assert leg.take_event(refusal, stage.now) == []
    assert stage.sent(leg) == [word(1), "ucommit_2"]
    (line,) = leg.take_event(ErrorReported(from_error_event(refused)), stage.now)
    assert isinstance(line.error, RealtimeError)


def test_another_connection_takes_over_while_the_old_one_finishes_what_it_has_begun() -> None:
    stage = Stage()
    old = stage.transcriber.begin()
    stage.hear(word(1))
    stage.sent(old)
    new = stage.transcriber.begin()
    stage.say(word(2))
    assert stage.sent(new) == []
    assert stage.sent(old) == [word(2), "ucommit_1"]
    stage.say(word(3))
    assert stage.sent(old) == []
    assert stage.sent(new) == [word(3), "ucommit_2"]
    stage.committed(old, "a")
    stage.committed(new, "b")
    assert stage.known(new, "b", "three") == []
    assert not old.done
    assert texts(stage.known(old, "a", "one two")) == [("u1", "one two", True), ("u2", "three", True)]
    assert old.done
    assert not new.done


def test_an_old_connection_that_is_lost_leaves_its_debts_to_the_new_one() -> None:
    stage = Stage()
    old = stage.transcriber.begin()
    stage.say(word(1))
    stage.sent(old)
    new = stage.transcriber.begin()
    stage.say(word(2))
    stage.sent(new)
    old.lost()
    assert stage.sent(new) == [word(1), "ucommit_3"]
    stage.committed(new, "b")
    stage.committed(new, "a")
    assert stage.known(new, "b", "two") == []
    assert [line.text for line in stage.known(new, "a", "one")] == ["one", "two"]


def test_long_speech_is_cut_in_a_short_pause() -> None:
    stage = Stage(soft_s=2.0, most_s=5.0, search_s=0.5, dip_s=0.2, hangover_s=0.5)
    leg = stage.transcriber.begin()
    stage.hear(word(1, 1.0) + silence(0.24) + word(2, 1.2))
    pause_at = stage.now
    stage.hear(silence(0.24) + word(3, 1.0))
    sent = stage.sent(leg)
    assert [words_in(step) for step in sent if isinstance(step, bytes)] == [[1, 2], [3]]
    stage.committed(leg, "a")
    (line,) = stage.known(leg, "a", "one two")
    assert line.ended_at == pytest.approx(pause_at, abs=FRAME_S)


def test_the_pause_after_a_cut_is_no_utterance_of_its_own() -> None:
    stage = Stage(soft_s=2.0, most_s=5.0, search_s=0.5, dip_s=0.2, hangover_s=0.52)
    stage.say(word(1, 2.2) + silence(0.52))
    assert stage.transcriber.owed == 1
    assert not stage.transcriber.live


def test_soft_words_after_a_cut_are_not_lost() -> None:
    stage = Stage(soft_s=2.0, most_s=5.0, search_s=0.5, dip_s=0.2, hangover_s=0.52)
    leg = stage.transcriber.begin()
    soft = b"\1\0\xff\xff" * (BYTES_PER_S // 4 * 4 // 10)
    stage.say(word(1, 2.2) + silence(0.2) + soft + silence(0.52))
    sent = [step for step in stage.sent(leg) if isinstance(step, bytes)]
    assert len(sent) == 2
    assert soft in sent[0] + sent[1]


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    stage = Stage(soft_s=2.0, most_s=5.0, search_s=1.0, dip_s=0.5)
    leg = stage.transcriber.begin()
    for number in range(1, 25):
        stage.hear(word(number, 0.3) + silence(0.08))
        stage.sent(leg)
    stage.transcriber.end()
    stage.sent(leg)
    stage.committed(leg, "a")
    stage.committed(leg, "b")
    first = stage.known(leg, "a", "x")[0]
    second = stage.known(leg, "b", "y")[0]
    assert 4.0 <= first.ended_at - first.started_at <= 5.0
    assert second.started_at == first.ended_at
    assert (first.ended_at - 100.0) % 0.38 == pytest.approx(0.34, abs=0.03)


def test_the_quietest_place_is_the_middle_of_the_pause() -> None:
    pcm = word(1, 0.5) + silence(0.1) + word(2, 0.3)
    assert quietest(pcm) == pytest.approx(0.55 * BYTES_PER_S, abs=0.03 * BYTES_PER_S)
    assert quietest(pcm) % 2 == 0
    assert quietest(word(1, 0.02)) == len(word(1, 0.02))


def test_what_is_kept_is_bounded_and_the_oldest_goes_first() -> None:
    stage = Stage(kept_s=1.0)
    stage.say(word(1, 0.6))
    stage.say(word(2, 0.6))
    stage.say(word(3, 0.6))
    assert stage.transcriber.kept_s == pytest.approx(1.0)
    assert stage.transcriber.dropped_s == pytest.approx(0.8)
    (gone,) = stage.transcriber.finals()
    leg = stage.transcriber.begin()
    sent = stage.sent(leg)
    assert [words_in(step) for step in sent if isinstance(step, bytes)] == [[2], [3]]
    stage.committed(leg, "b")
    assert (gone.id, gone.text, gone.final) == ("u1", "", True)
    assert gone.error is not None
    assert [line.text for line in stage.known(leg, "b", "two")] == ["two"]


def test_audio_that_a_connection_has_counts_as_dropped_only_when_that_is_lost() -> None:
    stage = Stage(kept_s=1.0)
    leg = stage.transcriber.begin()
    stage.say(word(1, 0.6))
    stage.sent(leg)
    stage.committed(leg, "a")
    stage.say(word(2, 0.8))
    stage.sent(leg)
    stage.say(word(3, 0.8))
    assert stage.transcriber.dropped_s == 0
    assert [line.text for line in stage.known(leg, "a", "one")] == ["one"]
    leg.lost()
    assert stage.transcriber.dropped_s == pytest.approx(0.6)
    assert stage.transcriber.owed == 2


def test_a_server_that_makes_no_progress_is_seen() -> None:
    stage = Stage()
    leg = stage.transcriber.begin()
    stage.hear(word(1))
    stage.sent(leg)
    assert leg.waiting_since is None
    stage.say(word(1))
    stage.sent(leg)
    first = leg.waiting_since
    assert first == stage.now
    stage.now += 1
    stage.say(word(2))
    stage.sent(leg)
    assert leg.waiting_since == first
    stage.committed(leg, "a")
    progress = leg.waiting_since
    assert progress == stage.now
    stage.now += 1
    stage.committed(leg, "b")
    stage.known(leg, "b", "two")
    assert leg.waiting_since == progress
    stage.known(leg, "a", "one")
    assert leg.waiting_since is None


@pytest.mark.parametrize(
    "policy",
    [
        {"search_s": 0.0},
        {"search_s": 10.0},
        {"soft_s": 21.0},
        {"kept_s": 0.0},
        {"dip_s": 0.0},
        {"hangover_s": -1.0},
        {"attempts": 0},
    ],
)
def test_a_policy_that_cannot_work_is_refused(policy: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(policy))):
        TranscriberPolicy(**policy)  # type: ignore[arg-type]

"""Captions as lines and cues: nothing lost, nothing torn apart, in time, and long enough to be read."""

import random
from itertools import pairwise

import pytest

from parley.core.caption_layout import CaptionLayout, Cue, Spoken, laid_out, wrapped
from parley.core.graphemes import clusters, width

LAYOUT = CaptionLayout()

ENGLISH = (
    "The quick brown fox jumps over the lazy dog, and then it runs away into the forest "
    "where nobody will ever find it again, not even me."
)
JAPANESE = (
    "これは長い文章です。字幕の行分割をテストするために書かれた、かなり長い日本語のテキストで、"
    "句読点も含まれています。さらに続く「引用文」もあります。"
)
THAI = "ภาษาไทยไม่มีช่องว่างระหว่างคำทำให้การตัดบรรทัดเป็นเรื่องยากมากสำหรับโปรแกรมที่ไม่รู้จักคำศัพท์" * 2
HINDI = "क्षत्रिय स्त्री ने कहा कि यह बहुत अच्छा है और हमें आगे बढ़ना चाहिए।" * 3
ARABIC = "مرحبا بالعالم، كيف حالكم اليوم؟ نحن هنا لنتحدث عن شيء مهم جدا بالنسبة لنا جميعا."
EMOJI = "👩‍👩‍👧‍👦🇫🇷🇩🇪👍🏽❤️🏴󠁧󠁢󠁥󠁮󠁧󠁿" * 12


def columns(line: str) -> int:
    return sum(map(width, clusters(line)))


def flat(cues: list[Cue]) -> str:
    return "".join("".join("".join(cue.lines).split()) for cue in cues)


def lines(text: str) -> list[str]:
    return [line for block in wrapped(text) for line in block]


@pytest.mark.parametrize("text", [ENGLISH, JAPANESE, THAI, HINDI, ARABIC, EMOJI, "x" * 200, "!" * 100])
def test_no_line_is_too_long_no_cue_has_too_many_and_nothing_is_lost(text: str) -> None:
    cues = laid_out([Spoken("ann", 0.0, 12.0, text)])
    assert flat(cues) == "".join(text.split())
    assert all(1 <= len(cue.lines) <= 2 for cue in cues)
    assert max(columns(line) for cue in cues for line in cue.lines) <= 42


def test_a_short_text_is_one_line() -> None:
    assert wrapped("Good morning, everybody.") == [("Good morning, everybody.",)]


def test_two_lines_are_of_about_one_length() -> None:
    (block,) = wrapped("We should all meet again here next Tuesday at ten o'clock")
    assert block == ("We should all meet again here", "next Tuesday at ten o'clock")


def test_a_cue_ends_with_a_clause_if_it_can() -> None:
    first, second = wrapped(f"This is the first half of what I want to say, {'and so on ' * 6}")
    assert first[-1].endswith("say,")
    assert second[0].startswith("and")


def test_words_stay_whole_unless_they_are_longer_than_a_line() -> None:
    assert set(" ".join(lines(ENGLISH)).split()) == set(ENGLISH.split())
    long = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
    assert "".join(lines(long)) == long


def test_a_space_that_must_not_break_does_not() -> None:
    text = "Combien de temps vous faut-il pour venir\u202f? Nous sommes déjà prêts à partir\u202f!"
    for line in lines(text):
        assert not line.startswith(("?", "!"))
    assert "".join(lines(text)).count("\u202f") == 2


def test_no_line_begins_with_closing_punctuation_or_ends_with_opening() -> None:
    for line in lines(JAPANESE * 3):
        assert line[0] not in "。、」っょ"
        assert line[-1] not in "「"


def test_korean_breaks_between_words() -> None:
    text = "오늘 회의에서는 새로운 제품에 대해서 이야기하고 다음 주의 일정도 함께 정하려고 합니다"
    assert set(" ".join(lines(text)).split()) == set(text.split())


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("e\u0301", 1),
        ("क्षि", 1),
        ("स्त्री", 1),
        ("நி", 1),
        ("กำ", 1),
        ("เก้า", 2),
        ("👩‍👩‍👧‍👦", 1),
        ("🇫🇷🇩🇪", 2),
        ("👍🏽!", 2),
        ("❤️", 1),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", 1),
        ("\u1112\u1161\u11ab", 1),
        ("한글", 2),
    ],
)
def test_what_a_reader_takes_for_one_character_is_one(text: str, count: int) -> None:
    assert len(clusters(text)) == count
    assert "".join(clusters(text)) == text


@pytest.mark.parametrize("text", [THAI, HINDI, EMOJI, "e\u0301" * 100, "\u1112\u1161\u11ab" * 50])
def test_no_character_is_torn_apart(text: str) -> None:
    unspaced = "".join(text.split())
    borders = {0}
    for cluster in clusters(unspaced):
        borders.add(max(borders) + len(cluster))
    at = 0
    for line in lines(text):
        at += len("".join(line.split()))
        assert at in borders


def test_right_to_left_text_stays_in_the_order_in_which_it_is_spoken() -> None:
    assert " ".join(lines(ARABIC)) == ARABIC


# Time


def test_a_long_segment_shares_its_time_by_the_length_of_the_text() -> None:
    cues = laid_out([Spoken("ann", 10.0, 20.0, ENGLISH)])
    assert len(cues) > 1
    assert cues[0].start_s == 10.0
    assert cues[-1].end_s == pytest.approx(20.0)
    said = 0
    for cue in cues:
        assert cue.start_s == pytest.approx(10.0 + 10.0 * said / len(ENGLISH), abs=0.4)
        said += sum(map(len, cue.lines)) + len(cue.lines)


def test_a_cue_stays_long_enough_to_be_read_when_nothing_follows() -> None:
    (short,) = laid_out([Spoken("ann", 1.0, 1.2, "Yes.")])
    assert (short.start_s, short.end_s) == (1.0, 2.0)
    text = "Forty characters take two seconds, I say"
    (cue,) = laid_out([Spoken("ann", 1.0, 1.5, text)])
    assert cue.end_s == pytest.approx(1.0 + len(text) / LAYOUT.chars_per_s)


def test_the_next_cue_of_the_same_speaker_comes_in_time() -> None:
    first, second = laid_out([Spoken("ann", 1.0, 1.2, "Yes."), Spoken("ann", 1.5, 3.0, "And now this.")])
    assert second.start_s == 1.5
    assert first.end_s == pytest.approx(1.5 - LAYOUT.gap_s)


def test_speakers_may_speak_at_once() -> None:
    cues = laid_out([Spoken("ann", 1.0, 4.0, "One."), Spoken("bob", 2.0, 3.0, "Two.")])
    assert [(cue.speaker, cue.start_s, cue.end_s) for cue in cues] == [("ann", 1.0, 4.0), ("bob", 2.0, 3.0)]


def test_a_cue_stays_no_longer_than_it_may() -> None:
    (cue,) = laid_out([Spoken("ann", 0.0, 60.0, "Hm.")])
    assert cue.end_s == LAYOUT.most_s
    slow = laid_out([Spoken("ann", 0.0, 20.0, "one two three four five six")])
    assert len(slow) >= 3
    assert flat(slow) == "onetwothreefourfivesix"


@pytest.mark.parametrize("seed", range(60))
def test_any_text_at_any_time(seed: int) -> None:
    rng = random.Random(seed)
    pieces = [*ENGLISH.split(), *JAPANESE.split("、"), *HINDI.split(), *ARABIC.split(), THAI[:60], "x" * 90]
    pieces += ["🇫🇷", "👍🏽", "(", "「", "」", "\u00a0", "\u0301", "\u200d", "…", "  \n "]
    layout = CaptionLayout(
        line_chars=rng.choice((2, 10, 32, 42)),
        lines=rng.choice((1, 2, 3)),
        gap_s=rng.choice((0.0, 0.083, 0.5)),
        most_s=rng.choice((2.0, 7.0)),
    )
    spoken = []
    for speaker in ("ann", "bob"):
        at = 0.0
        for _ in range(rng.randrange(1, 12)):
            text = rng.choice(("", " ")).join(rng.choices(pieces, k=rng.randrange(1, 40)))
            start = at + rng.uniform(-0.5, 2.0)
            spoken.append(Spoken(speaker, start, start + rng.choice((0.0, rng.uniform(-0.2, 15.0))), text))
            at = spoken[-1].end_s
    rng.shuffle(spoken)
    cues = laid_out(spoken, layout)
    assert [cue.start_s for cue in cues] == sorted(cue.start_s for cue in cues)
    for speaker in ("ann", "bob"):
        own = [cue for cue in cues if cue.speaker == speaker]
        said = sorted((s for s in spoken if s.speaker == speaker), key=lambda s: (s.start_s, s.end_s))
        assert flat(own) == "".join("".join(s.text.split()) for s in said)
        for cue in own:
            assert cue.start_s < cue.end_s <= cue.start_s + layout.most_s + 1e-9
            assert 1 <= len(cue.lines) <= layout.lines
            assert all(columns(line) <= layout.line_chars or len(clusters(line)) == 1 for line in cue.lines)
            assert all(cue.lines)
        for earlier, later in pairwise(own):
            assert earlier.end_s + layout.gap_s <= later.start_s + 1e-9

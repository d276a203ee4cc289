"""Segments: append-only text under ids that never change, final once."""

import random

import pytest

from parley.core.transcript import MAX_CHARS, PAUSE_S, Segment, Segmenter


def told(*deltas: str) -> list[Segment]:
    segmenter = Segmenter("t")
    found = [segment for i, delta in enumerate(deltas) for segment in segmenter.push(delta, float(i))]
    return found + segmenter.flush()


def finals(*deltas: str) -> list[str]:
    return [segment.text for segment in told(*deltas) if segment.final]


def test_interim_grows_then_a_sentence_ends_it() -> None:
    assert told("Hello", " wor", "ld.", " How") == [
        Segment("t-0", "Hello", False, 0.0, 0.0),
        Segment("t-0", "Hello wor", False, 0.0, 1.0),
        Segment("t-0", "Hello world.", False, 0.0, 2.0),
        Segment("t-0", "Hello world.", True, 0.0, 2.0),
        Segment("t-1", "How", False, 3.0, 3.0),
        Segment("t-1", "How", True, 3.0, 3.0),
    ]


def test_a_segment_is_when_its_words_were_spoken_not_when_their_text_came() -> None:
    segmenter = Segmenter("t")
    segmenter.push("  ", 8.0, (0.2, 0.4))
    segmenter.push("One", 9.0, (1.0, 1.2))
    segmenter.push(" two", 9.1, (1.4, 1.6))
    segmenter.push(".", 9.2, (2.4, 2.6))
    first, second = segmenter.push(" Three", 9.3, (5.0, 5.2))
    assert (first.text, first.final, first.started_s, first.ended_s) == ("One two.", True, 1.0, 1.6)
    assert (second.text, second.started_s, second.ended_s) == ("Three", 5.0, 5.2)


def test_two_sentences_of_one_delta_share_its_time() -> None:
    segmenter = Segmenter("t")
    segmenter.push("Yes", 1.0, (0.0, 0.2))
    found = segmenter.push(". No. Well", 1.1, (0.4, 0.6))
    assert [(s.text, s.started_s, s.ended_s) for s in found] == [
        ("Yes.", 0.0, 0.6),
        ("No.", 0.4, 0.6),
        ("Well", 0.4, 0.6),
    ]


def test_no_space_is_invented() -> None:
    assert finals("Don", "au", "dampf", "schiff") == ["Donaudampfschiff"]


@pytest.mark.parametrize("text", ["It is 3.14 now", "v1.2.3 runs", "see example.com today", "at 10.30"])
def test_a_stop_inside_a_word_or_number_ends_nothing(text: str) -> None:
    assert finals(*text) == [text]


def test_a_decimal_split_between_deltas_stays_whole() -> None:
    assert finals("It costs 3", ".", "14", " euros.") == ["It costs 3.14 euros."]


def test_several_sentences_in_one_delta() -> None:
    assert finals("One. Two! Three? Four… Five") == ["One.", "Two!", "Three?", "Four…", "Five"]


def test_chinese_japanese_and_hindi_need_no_space() -> None:
    assert finals("你好。今天", "怎么样？好") == ["你好。", "今天怎么样？", "好"]
    assert finals("नमस्ते।आप") == ["नमस्ते।", "आप"]


def test_right_to_left_text_is_kept_in_logical_order() -> None:
    assert finals("كيف حالك؟ ", "أنا بخير. ", "שלום") == ["كيف حالك؟", "أنا بخير.", "שלום"]


def test_a_pause_ends_a_segment() -> None:
    segmenter = Segmenter("t")
    segmenter.push("and then", 1.0)
    assert segmenter.idle(1.0 + PAUSE_S - 0.01) == []
    assert segmenter.idle(1.0 + PAUSE_S) == [Segment("t-0", "and then", True, 1.0, 1.0)]
    assert segmenter.idle(99.0) == []
    assert segmenter.push("more", 99.0)[0].id == "t-1"


def test_white_space_alone_is_nothing() -> None:
    assert told(" ", "\n", "  ") == []
    segmenter = Segmenter("t")
    segmenter.push("  ", 0.0)
    assert segmenter.idle(99.0) == []


def test_a_long_text_without_a_stop_ends_at_a_space() -> None:
    words = " ".join(f"word{i}" for i in range(100))
    parts = finals(words)
    assert " ".join(parts) == words
    assert all(MAX_CHARS // 2 <= len(part) <= MAX_CHARS for part in parts[:-1])


def test_a_long_text_without_spaces_ends_all_the_same() -> None:
    parts = finals("字" * 1000)
    assert "".join(parts) == "字" * 1000
    assert max(map(len, parts)) <= MAX_CHARS


@pytest.mark.parametrize("seed", range(40))
def test_any_text_in_any_deltas(seed: int) -> None:
    rng = random.Random(seed)
    words = ["yes", "3.5", "a.m.", "no!", "你好。", "क्या?", "نعم؟", "x" * 50, "🎉", "end.", "e\u0301t"]
    whole = " ".join(rng.choices(words, k=rng.randrange(1, 120)))
    segmenter, at, seen = Segmenter("t"), 0, []
    while at < len(whole):
        n = rng.randrange(1, 30)
        seen += segmenter.push(whole[at : at + n], float(at))
        at += n
    seen += segmenter.flush()
    assert "".join("".join(s.text for s in seen if s.final).split()) == "".join(whole.split())
    ended: set[str] = set()
    order: list[str] = []
    last: dict[str, str] = {}
    for segment in seen:
        assert segment.id not in ended, "a segment that is final is never spoken of again"
        assert segment.text == segment.text.strip() != ""
        assert segment.started_s <= segment.ended_s
        if not segment.final:
            assert segment.text.startswith(last.get(segment.id, ""))
        last[segment.id] = segment.text
        if segment.id not in order:
            order.append(segment.id)
        if segment.final:
            ended.add(segment.id)
    assert ended == set(order)
    assert order == [f"t-{i}" for i in range(len(order))]


@pytest.mark.parametrize(
    ("before", "after", "text"),
    [
        ("the forest", "island is far", "the forest island is far"),
        ("the forest ", "island", "the forest island"),
        ("the forest", " island", "the forest island"),
        ("the forest", ", and", "the forest, and"),
        ("森の", "島", "森の島"),
        ("", "island", "island"),
    ],
)
def test_where_another_session_goes_on_no_two_words_become_one(before: str, after: str, text: str) -> None:
    segmenter = Segmenter("t")
    segmenter.push(before, 0.0)
    segmenter.part()
    segmenter.push(after, 1.0)
    assert segmenter.flush()[-1].text == text
    assert [one.text for one in segmenter.push("for", 2.0)] == ["for"]
    assert [one.text for one in segmenter.push("est", 2.0)] == ["forest"]

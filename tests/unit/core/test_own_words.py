"""Each phrase is written down by one bridge, from its first word to its last."""

import random

from parley.core.model import ORIGINAL, RECORD, BridgeKey, Routes
from parley.core.own_words import SWITCH_S, OwnWords, for_record


class Phrases:
    """Whether somebody is in the middle of a phrase, for all bridges alike."""

    def __init__(self) -> None:
        self.speaking = False

    def __call__(self, key: BridgeKey) -> bool:
        return self.speaking


def test_a_translation_writes_where_there_is_one() -> None:
    words = OwnWords()
    assert words.writer("ann", ["de", "fr"], Phrases(), 0.0) == "de"
    assert words.writer("bob", [], Phrases(), 0.0) == ORIGINAL
    assert not words.switching


def test_the_task_changes_hands_when_the_phrase_is_over() -> None:
    words, phrase = OwnWords(), Phrases()
    assert words.writer("ann", [], phrase, 0.0) == ORIGINAL
    phrase.speaking = True
    assert words.writer("ann", ["fr"], phrase, 1.0) == ORIGINAL
    assert words.switching
    assert not words.due(phrase, 1.0)
    phrase.speaking = False
    assert words.due(phrase, 2.0)
    assert words.writer("ann", ["fr"], phrase, 2.0) == "fr"
    assert not words.switching


def test_a_translation_that_nobody_hears_any_more_writes_to_the_end_of_the_phrase() -> None:
    words, phrase = OwnWords(), Phrases()
    words.writer("ann", ["fr"], phrase, 0.0)
    phrase.speaking = True
    assert words.writer("ann", [], phrase, 1.0) == "fr"
    assert words.writer("ann", ["fr"], phrase, 2.0) == "fr"
    assert not words.switching, "it is wanted again"


def test_the_one_that_has_the_task_keeps_it_while_it_is_wanted() -> None:
    words, phrase = OwnWords(), Phrases()
    words.writer("ann", ["fr"], phrase, 0.0)
    assert words.writer("ann", ["de", "fr"], phrase, 1.0) == "fr"


def test_somebody_who_never_pauses_is_not_waited_for() -> None:
    words, phrase = OwnWords(), Phrases()
    words.writer("ann", [], phrase, 0.0)
    phrase.speaking = True
    words.writer("ann", ["fr"], phrase, 10.0)
    assert not words.due(phrase, 10.0 + SWITCH_S - 0.1)
    assert words.due(phrase, 10.0 + SWITCH_S)
    assert words.writer("ann", ["fr"], phrase, 10.0 + SWITCH_S) == "fr"


def test_speakers_whom_nobody_reads_are_forgotten() -> None:
    words, phrase = OwnWords(), Phrases()
    words.writer("ann", [], phrase, 0.0)
    phrase.speaking = True
    words.writer("ann", ["fr"], phrase, 1.0)
    words.keep({"bob"})
    assert not words.switching
    assert words.writer("ann", ["fr"], phrase, 2.0) == "fr"


def test_whatever_happens_it_changes_hands_in_pauses_only() -> None:
    rng = random.Random(4)
    for _ in range(300):
        words, phrase, before = OwnWords(), Phrases(), ""
        for step in range(40):
            phrase.speaking = rng.random() < 0.6
            languages = sorted(rng.sample(["de", "fr", "ja"], rng.randrange(4)))
            now = words.writer("ann", languages, phrase, step * 0.1)
            assert now == before or not before or not phrase.speaking
            assert phrase.speaking or now == ORIGINAL or now in languages
            assert phrase.speaking or (now == ORIGINAL) == (not languages)
            before = now


def test_the_record_needs_no_session_of_those_whose_words_an_agent_writes_down() -> None:
    nobody: frozenset[str] = frozenset()
    alone = [Routes(who, ORIGINAL, nobody, frozenset({RECORD})) for who in ("ann", "bob")]
    read = [Routes(who, ORIGINAL, nobody, frozenset({RECORD, "eve"})) for who in ("ann", "bob")]
    heard = [Routes("ann", "fr", frozenset({"eve"}), nobody)]
    assert for_record([*alone, *heard], {"ann"}) == [alone[1], *heard]
    assert for_record(read, {"ann"}) == read

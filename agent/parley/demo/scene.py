"""A written conversation with the built-in agent, and the judgement of what was heard of it.

The agent greets, answers a question, is broken in on while it answers another, and makes a note. Both sides
say countable words: what the simulator understood, what the agent said and what was heard are words of lists.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from parley.simulator import Call, SimulatorOptions, Turn, word_sound

from .audio import Pcm, amplitude
from .listening import find_words
from .recording import Recording
from .speech import SAMPLE_RATE_HZ, Utterance, Word, countable_words, render
from .vocabulary import words_of

_LANGUAGE = "en"
_MY_VOICE, _AGENT_VOICE = 0, 1
_PERIOD_S = 0.45
_STOP_WITHIN_S = 2.0
_QUIET_S = 0.4
_STEP = SAMPLE_RATE_HZ // 50
_LOUD = amplitude(-45.0)


@dataclass(frozen=True)
class Exchange:
    """What the person says (nothing: the agent begins), and the answer; both are words by their number.

    `interrupts`: the person does not wait until the answer before is over. `tool`: is called before the
    answer.
    """

    name: str
    asked: range
    answer: range
    interrupts: bool = False
    tool: str = ""


SCENE = (
    Exchange("greeting", range(0), range(0, 3)),
    Exchange("question", range(0, 4), range(3, 7)),
    Exchange("long answer", range(4, 8), range(7, 21)),
    Exchange("interruption", range(8, 12), range(21, 25), interrupts=True),
    Exchange("tool call", range(12, 16), range(25, 29), tool="take_note"),
)


def text_of(words: range) -> str:
    """Words by their number, as they are written."""
    listed = words_of(_LANGUAGE)
    return " ".join(listed[word] for word in words)


@cache
def my_words() -> tuple[Word, ...]:
    """What the person says."""
    return countable_words(_LANGUAGE, voice=_MY_VOICE, count=max(e.asked.stop for e in SCENE))


@cache
def agent_words() -> tuple[Word, ...]:
    """What the agent says."""
    return countable_words(_LANGUAGE, voice=_AGENT_VOICE, count=max(e.answer.stop for e in SCENE))


def sound_of(asked: range) -> Pcm:
    """The person's words as they are spoken, `int16[n]` mono at 24 kHz."""
    lines = [Utterance("you", word, place * _PERIOD_S) for place, word in enumerate(asked)]
    return render(lines, "you", my_words(), duration_s=len(asked) * _PERIOD_S)


def options() -> SimulatorOptions:
    """The agent's part, for the simulator, which recognises the person's words by their sound.

    Takes a second of computing: call it in a thread.
    """
    mine = my_words()
    sounds = {word.text: word.pcm for word in agent_words()}
    return SimulatorOptions(
        recognise=lambda pcm: [
            mine[heard.word_index].text for heard in find_words(pcm, SAMPLE_RATE_HZ, mine)
        ],
        pronounce=lambda word: sounds[word] if word in sounds else word_sound(word),
        script=list(_turns()),
    )


def _turns() -> Iterator[Turn]:
    for exchange in SCENE:
        say, asked = text_of(exchange.answer), text_of(exchange.asked)
        if not asked:
            yield Turn(say=say, when=lambda context: not context.lines)
        elif exchange.tool:
            yield Turn(calls=(Call(exchange.tool, {"text": asked}),), when=asked)
            # What the tool itself answers: it has run.
            yield Turn(say=say, when="Noted, as number 1.")
        else:
            yield Turn(say=say, when=asked)


@dataclass(frozen=True)
class Heard:
    """A word of either list at the far end: whose, which, and when (monotonic, s)."""

    mine: bool
    word: int
    at_s: float


@dataclass(frozen=True)
class Row:
    """One exchange. `stopped_s`: how long the interrupted voice went on; None where nobody interrupted."""

    name: str
    asked: int
    understood: int
    answer: int
    heard: int
    ok: bool
    stopped_s: float | None = None


@dataclass(frozen=True)
class Verdict:
    """What came of the scene."""

    rows: tuple[Row, ...]
    troubles: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every turn was answered once, nothing was lost, and the interruption stopped the voice."""
        return not self.troubles and all(row.ok for row in self.rows)


def heard_in(recordings: Sequence[Recording]) -> list[Heard]:
    """All words in what was heard of the agent, by time. Takes seconds of computing: call it in a thread."""
    templates = [*my_words(), *agent_words()]
    mine = len(my_words())
    found = [
        Heard(
            one.word_index < mine,
            one.word_index % mine if one.word_index < mine else one.word_index - mine,
            recording.time_of(one.start_s),
        )
        for recording in recordings
        for one in find_words(recording.pcm, SAMPLE_RATE_HZ, templates)
    ]
    return sorted(found, key=lambda word: word.at_s)


def silent_after(recordings: Sequence[Recording], at_s: float) -> float:
    """How long after `at_s` (monotonic, s) the voice was heard until it was quiet for 0.4 s, in seconds."""
    last_s = at_s
    for recording in recordings:
        pcm = recording.pcm[: len(recording.pcm) // _STEP * _STEP].astype(np.float32).reshape(-1, _STEP)
        loud = np.flatnonzero(np.sqrt(np.mean(np.square(pcm), axis=1)) > _LOUD)
        for step in loud:
            end_s = recording.time_of((int(step) + 1) * _STEP / SAMPLE_RATE_HZ)
            if at_s <= end_s and end_s <= last_s + _QUIET_S:
                last_s = max(last_s, end_s)
    return last_s - at_s


def judge(
    understood: Sequence[str],
    said: Sequence[str],
    heard: Sequence[Heard],
    stopped_s: Mapping[str, float],
    troubles: Sequence[str] = (),
) -> Verdict:
    """Compare what came with the scene.

    `understood`: the person's lines as they were transcribed. `said`: the agent's lines as they were read.
    `stopped_s`: exchange that interrupts → how long the voice went on. `troubles`: what is known to be wrong.
    """
    troubles = [
        *troubles,
        *(f"your own word {text_of(range(h.word, h.word + 1))!r} came back" for h in heard if h.mine),
    ]
    order = [h.word for h in heard if not h.mine]
    if order != sorted(set(order)):
        troubles.append(f"the agent's words came twice or out of order: {order}")
    if len(said) != len(SCENE):
        troubles.append(f"{len(said)} answers were read, not {len(SCENE)}: {list(said)}")
    lines = iter(understood)
    answers = iter(said)
    rows = []
    for place, exchange in enumerate(SCENE):
        text, answer = (next(lines, "") if exchange.asked else ""), next(answers, "")
        following = SCENE[place + 1] if place + 1 < len(SCENE) else None
        breaking = following.name if following is not None and following.interrupts else None
        got = [word for word in order if word in exchange.answer]
        whole = text_of(exchange.answer)
        if breaking is None:
            right = got == list(exchange.answer) and answer == whole
        else:
            begun = got == list(exchange.answer[: len(got)]) and 0 < len(got) < len(exchange.answer)
            right = begun and bool(answer) and whole.startswith(answer) and answer != whole
            right = right and stopped_s.get(breaking, _STOP_WITHIN_S) < _STOP_WITHIN_S
        rows.append(
            Row(
                exchange.name,
                len(exchange.asked),
                sum(a == b for a, b in zip(text.split(), text_of(exchange.asked).split(), strict=False)),
                len(exchange.answer),
                len(got),
                right and text == text_of(exchange.asked),
                stopped_s.get(breaking) if breaking is not None else None,
            )
        )
    return Verdict(tuple(rows), tuple(troubles))

"""The estimate: what a room will cost, from who is in it and how much of the time somebody speaks.

What Parley sends of a speaker is their turns, each with what the gate and the tail add to it, into every
language that somebody else wants. Beside it stand the same room with a session for every speaker and
language that runs all the time, and one that only reads what was said in the speakers' own words.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from .tail import TailPolicy
from .usage import LIST_PRICES, Prices, Tokens

AUDIO_TOKENS_IN_PER_S = 10.0
AUDIO_TOKENS_OUT_PER_S = 20.0
"""Tokens of one second of a voice agent's audio, as OpenAI counts them."""
CONTEXT_TOKENS = 28_000
"""What a voice agent's model is told again at each answer, at most."""


@dataclass(frozen=True, slots=True)
class Talk:
    """How people talk with each other."""

    share: float = 0.8
    """Of the time, how much somebody speaks; divided equally among those who speak."""
    turn_s: float = 10.0
    """How long one of them speaks before another does."""
    span_s: float = 3.0
    """Ear-voice span of the translation, on which its tail depends."""
    pre_roll_s: float = 0.4
    """Sent from before a turn."""
    silence_s: float = 0.5
    """Silence by which the gate knows that a turn is over."""
    tail: TailPolicy = field(default_factory=TailPolicy)

    @property
    def tail_s(self) -> float:
        """Silence that is sent after a turn."""
        return min(max(self.tail.least_s, 1.25 * self.span_s + 0.3), self.tail.most_s)

    def sent_s(self, spoken_s: float, *, tail_s: float) -> float:
        """Audio that is sent for so much speech."""
        turns = spoken_s / self.turn_s
        return spoken_s + turns * (self.pre_roll_s + self.silence_s + tail_s)


@dataclass(frozen=True, slots=True)
class AgentTalk:
    """How one person talks with a voice agent."""

    turn_s: float = 6.0
    """How long the person speaks, on average."""
    answer_s: float = 6.0
    """How long the agent does."""
    pause_s: float = 3.0
    """What lies between them, for both together."""
    instructions: int = 500
    """Tokens of the agent's instructions and tools."""


@dataclass(frozen=True, slots=True)
class Models:
    """Which models are paid for, and at which prices."""

    translation: str = "gpt-realtime-translate"
    transcription: str = "gpt-realtime-whisper"
    voice_agent: str = "gpt-realtime-2.1"
    prices: Prices = LIST_PRICES


@dataclass(frozen=True, slots=True)
class People:
    """Who is in the room, by language."""

    speaking: Mapping[str, int]
    """Language → people who speak it, and want to hear everybody else in it."""
    listening: Mapping[str, int] = field(default_factory=dict)
    """Language → people who want to hear everybody in it, and do not speak."""
    own_words: bool = False
    """Whether all that is said is written down: a translation's session does it, where there is one."""

    @property
    def count(self) -> int:
        """How many they are."""
        return sum(self.speaking.values()) + sum(self.listening.values())

    @property
    def speakers(self) -> int:
        """How many of them speak."""
        return sum(self.speaking.values())

    @property
    def languages(self) -> tuple[str, ...]:
        """What is heard, sorted."""
        wanted = {**self.speaking, **self.listening}
        return tuple(sorted(language for language in wanted if self._number(language)))

    @property
    def demand(self) -> "Demand":
        """What has to be translated, and written down, for them."""
        others = max(0, len(self.languages) - 1)
        captions = self.speakers if self.own_words and not others else 0
        return Demand(self.speakers, self.speakers * others, captions)

    def _number(self, language: str) -> int:
        return self.speaking.get(language, 0) + self.listening.get(language, 0)


@dataclass(frozen=True, slots=True)
class Demand:
    """How much has to be translated."""

    speakers: int
    sessions: int
    """That may run at a time: one per speaker and language that is not theirs and somebody else wants."""
    captions: int = 0
    """Speakers whose own words are written down, and who are not translated."""


@dataclass(frozen=True, slots=True)
class Mode:
    """What one way of doing it costs."""

    name: str
    sessions: int
    """At most at a time."""
    minutes: float
    """Of audio sent to them; of conversation, with agents."""
    usd: float


def translated(demand: Demand, minutes: float, talk: Talk, models: Models) -> Mode:
    """What Parley does: a session is open and fed while its speaker speaks."""
    spoken_s = 60.0 * minutes * talk.share / max(1, demand.speakers)
    sent_s = demand.sessions * min(60.0 * minutes, talk.sent_s(spoken_s, tail_s=talk.tail_s))
    usd = sent_s * models.prices.usd_per_second(models.translation)
    written_s = demand.captions * min(60.0 * minutes, talk.sent_s(spoken_s, tail_s=0.0))
    usd += written_s * models.prices.usd_per_second(models.transcription)
    return Mode("parley", demand.sessions + demand.captions, (sent_s + written_s) / 60.0, usd)


def always_on(demand: Demand, minutes: float, models: Models) -> Mode:
    """A session for every speaker and language, fed all the time."""
    total = (demand.sessions + demand.captions) * minutes
    usd = demand.sessions * minutes * 60.0 * models.prices.usd_per_second(models.translation)
    usd += demand.captions * minutes * 60.0 * models.prices.usd_per_second(models.transcription)
    return Mode("always on", demand.sessions + demand.captions, total, usd)


def captions_only(demand: Demand, minutes: float, talk: Talk, models: Models) -> Mode:
    """What everybody says in their own words, as text, and no translation: a transcription per speaker."""
    spoken_s = 60.0 * minutes * talk.share / max(1, demand.speakers)
    sent_s = min(60.0 * minutes, talk.sent_s(spoken_s, tail_s=0.0))
    total_s = demand.speakers * sent_s
    usd = total_s * models.prices.usd_per_second(models.transcription)
    return Mode("captions only", demand.speakers, total_s / 60.0, usd)


def voice_agents(agents: int, minutes: float, talk: AgentTalk, models: Models) -> Mode:
    """So many people who each talk with an agent of their own, for so long.

    Each answer is paid with all that was said before it, at the price of what is told again.
    """
    turns = math.ceil(60.0 * minutes / (talk.turn_s + talk.answer_s + talk.pause_s))
    told_in = round(talk.turn_s * AUDIO_TOKENS_IN_PER_S)
    told_out = round(talk.answer_s * AUDIO_TOKENS_OUT_PER_S)
    again = 0
    for turn in range(turns):
        again += min(CONTEXT_TOKENS, turn * (told_in + told_out))
    used = Tokens(
        text_in=talk.instructions if turns else 0,
        text_cached=talk.instructions * max(0, turns - 1),
        audio_in=turns * told_in,
        audio_cached=again,
        audio_out=turns * told_out,
    )
    spoken_s = turns * talk.turn_s
    usd = models.prices.usd(models.voice_agent, used)
    usd += spoken_s * models.prices.usd_per_second(models.transcription)
    return Mode("voice agents", agents, agents * minutes, agents * usd)


@dataclass(slots=True)
class Running:
    """An estimate of a room that changes: what each stretch of time would have cost, added up."""

    talk: Talk = field(default_factory=Talk)
    models: Models = field(default_factory=Models)
    usd: float = 0.0
    always_on_usd: float = 0.0

    def passed(self, demand: Demand, duration_s: float) -> None:
        """So much time has passed, and this was to be translated."""
        minutes = duration_s / 60.0
        self.usd += translated(demand, minutes, self.talk, self.models).usd
        self.always_on_usd += always_on(demand, minutes, self.models).usd

"""The transcriber on a bad line: whatever is lost, delayed or out of order, each word is read once."""

import itertools
import random

import pytest

from livekit.plugins.openai_realtime.hearing import TranscriberPolicy
from livekit.plugins.openai_realtime.transcriber import Leg, Transcriber
from unit.plugin.transcribing import FRAME, FRAME_S, Reader, TinyServer, give, silence, word

HANGOVER = 6


class Wire:
    """One connection between a transcriber and a server: what the server says takes time, and may be lost."""

    def __init__(self, leg: Leg, server: TinyServer) -> None:
        self.leg = leg
        self.server = server


class Talk:
    """Random speech over random connections, 40 ms at a time."""

    def __init__(self, seed: int, *, drops: float, fails: float, long: bool) -> None:
        self.chance = random.Random(seed)
        self.drops = drops
        self.fails = fails
        policy = TranscriberPolicy(
            hangover_s=HANGOVER * FRAME_S, soft_s=3.0, most_s=5.0, search_s=1.0, kept_s=1_000
        )
        self.transcriber = Transcriber(policy, prefix=f"s{seed}_")
        self.reader = Reader()
        self.lines: list[Wire] = []
        self.opened = 0
        self.now = 0.0
        self.spoken = 0
        self.script = self._speech(long)

    def _speech(self, long: bool) -> list[tuple[bytes, bool]]:
        """Frames, and whether somebody speaks; a pause of the speech is at least as long as the hangover."""
        frames: list[tuple[bytes, bool]] = []
        for _ in range(6):
            pcm = b""
            for _ in range(self.chance.randrange(1, 40 if long else 8)):
                self.spoken += 1
                gap_s = 0.3 if self.chance.random() < 0.05 else 0.08
                pcm += word(self.spoken, self.chance.choice((0.08, 0.16, 0.24, 0.4))) + silence(gap_s)
            pcm += bytes(-len(pcm) % FRAME)
            speech = [pcm[i : i + FRAME] for i in range(0, len(pcm), FRAME)]
            quiet = self.chance.randrange(HANGOVER + 1, 60)
            frames += [(frame, True) for frame in speech]
            frames += [(bytes(FRAME), i < HANGOVER) for i in range(quiet)]
        return frames

    def step(self, frame: tuple[bytes, bool] | None) -> None:
        self.now += FRAME_S
        if frame is not None:
            self.transcriber.hear(frame[0], self.now, frame[1])
        else:
            self.transcriber.end()
        if (not self.lines and self.chance.random() < 0.2) or self.chance.random() < self.drops / 2:
            self.opened += 1
            server = TinyServer(f"c{self.opened}", self.chance, fails=self.fails)
            self.lines.append(Wire(self.transcriber.begin(), server))
        for line in list(self.lines):
            if self.chance.random() < self.drops:
                self._lose(line)
            elif self.chance.random() < 0.7:
                self._run(line)

    def _lose(self, line: Wire) -> None:
        """The connection ends; some of what the server said before is still read."""
        for _ in range(self.chance.randrange(3)):
            self._read(line)
        self.lines.remove(line)
        self.reader.read(line.leg.lost())

    def _run(self, line: Wire) -> None:
        give(line.leg, line.server, self.now)
        if self.chance.random() < 0.3:
            line.server.transcribe()
        for _ in range(self.chance.randrange(4)):
            self._read(line)
        if line.leg.done:
            self.reader.read(line.leg.lost())
            self.lines.remove(line)

    def _read(self, line: Wire) -> None:
        if line.server.said:
            self.reader.read(line.leg.take_event(line.server.said.popleft(), self.now))

    def run(self) -> None:
        for frame in self.script:
            self.step(frame)
        for _ in range(20_000):
            if not self.transcriber.owed:
                return
            self.step(None)
        raise AssertionError("not all that was said is known")


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("long", [False, True], ids=["phrases", "monologue"])
def test_each_word_is_read_once_and_in_order_and_none_is_taken_back(seed: int, long: bool) -> None:
    talk = Talk(seed, drops=0.02, fails=0.0, long=long)
    talk.run()
    assert talk.reader.words == list(range(1, talk.spoken + 1))
    assert talk.reader.taken_back == 0
    assert talk.transcriber.dropped_s == 0
    assert talk.transcriber.kept_s == 0
    assert talk.opened > 1


@pytest.mark.parametrize("seed", range(20))
def test_what_the_server_cannot_transcribe_costs_no_more_than_its_own_words(seed: int) -> None:
    talk = Talk(seed, drops=0.01, fails=0.2, long=False)
    talk.run()
    assert talk.reader.words == sorted(set(talk.reader.words))
    assert talk.reader.taken_back == 0
    lost = talk.spoken - len(talk.reader.words)
    assert all(line.error is not None for line in talk.reader.finals if not line.text)
    assert lost < talk.spoken / 2


@pytest.mark.parametrize("seed", range(10))
def test_an_utterance_stays_within_its_limit_and_lines_keep_to_the_clock(seed: int) -> None:
    talk = Talk(seed, drops=0.0, fails=0.0, long=True)
    talk.run()
    assert max(line.ended_at - line.started_at for line in talk.reader.finals) <= 5.0 + FRAME_S
    ends = [(line.started_at, line.ended_at) for line in talk.reader.finals]
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(ends))

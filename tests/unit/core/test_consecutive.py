"""Whose translation plays now: turns that are let out one at a time, in the order of their phrases."""

from parley.core.consecutive import Load, Turn, TurnPolicy, Turns

STEP_S = 0.05


class Talk:
    """Turns on a clock. `speaking` says who speaks, `loads` what there is to play of whom."""

    def __init__(self, policy: TurnPolicy | None = None) -> None:
        self.turns = Turns(policy)
        self.now = 100.0
        self.speaking: set[str] = set()
        self.waiting: set[str] = set()
        self.expected: set[str] = set()
        self.out: list[str] = []

    def runs(self, duration_s: float) -> list[str]:
        """Lets time pass; returns whose turns were let out meanwhile."""
        before = len(self.out)
        for _ in range(round(duration_s / STEP_S)):
            for speaker in sorted(self.speaking):
                self.turns.hear(speaker, self.now)
            turn = self.turns.tick(self.now, self._load)
            if turn is not None:
                self.out.append(turn.speaker)
            self.now += STEP_S
        return self.out[before:]

    def says(self, speaker: str, duration_s: float = 1.0) -> list[str]:
        """Somebody speaks, and there is something to play of it."""
        self.waiting.add(speaker)
        self.speaking = {speaker}
        let_out = self.runs(duration_s)
        self.speaking = set()
        return let_out

    @property
    def order(self) -> list[str]:
        return [turn.speaker for turn in self.turns.all]

    def _load(self, turn: Turn) -> Load:
        return Load(turn.speaker in self.waiting, turn.speaker in self.expected)


def test_a_turn_is_let_out_when_its_phrase_is_over_and_not_at_a_pause_for_breath() -> None:
    talk = Talk()
    assert talk.says("ann", 5) == []
    assert talk.runs(0.4) == [], "that is a breath"
    assert talk.says("ann", 1) == []
    assert talk.runs(0.45) == []
    assert talk.runs(0.1) == ["ann"]


def test_who_speaks_meanwhile_is_heard_when_all_before_has_been_played() -> None:
    talk = Talk()
    talk.says("ann")
    assert talk.runs(1) == ["ann"]
    talk.says("bob")
    assert talk.runs(5) == [], "ann's translation still plays"
    talk.waiting.discard("ann")
    assert talk.runs(0.5) == [], "voices are told apart by a rest"
    assert talk.runs(0.2) == ["bob"]


def test_turns_play_in_the_order_in_which_phrases_began() -> None:
    talk = Talk()
    talk.speaking = talk.waiting = {"ann"}
    talk.runs(0.5)
    talk.waiting = {"ann", "bob"}
    talk.speaking = {"ann", "bob"}
    talk.runs(1)
    talk.speaking = {"ann"}
    assert talk.runs(3) == [], "bob has finished, but ann began before him"
    talk.speaking = set()
    assert talk.runs(1) == ["ann"]


def test_a_speaker_whom_nobody_waits_behind_goes_on_with_the_same_turn() -> None:
    talk = Talk()
    talk.says("ann")
    assert talk.runs(1) == ["ann"]
    assert talk.says("ann") == []
    assert len(talk.order) == 1
    assert not talk.turns.turn_of("ann", talk.now).out, "what comes now is held again"
    assert talk.runs(1) == ["ann"]


def test_what_a_speaker_adds_comes_after_those_who_wait() -> None:
    talk = Talk()
    for speaker in ("ann", "bob", "ann"):
        talk.says(speaker)
        talk.runs(1)
    assert talk.order == ["ann", "bob", "ann"]


def test_more_of_a_translation_is_waited_for_but_not_for_ever() -> None:
    talk = Talk()
    talk.expected = {"ann"}
    talk.speaking = {"ann"}
    talk.runs(1)
    talk.says("bob")
    talk.runs(7)
    assert talk.out == ["ann"], "ann's session has not answered yet"
    assert talk.runs(4) == ["bob"], "it seems to have failed"
    talk.waiting = set()
    talk.runs(1)
    turn = talk.turns.turn_of("ann", talk.now)
    talk.waiting = {"ann"}
    assert (turn.over, turn.out) == (True, False), "what comes of it after all has a turn of its own"
    assert talk.runs(0.5) == ["ann"]


def test_what_is_expected_belongs_to_the_speakers_last_turn_only() -> None:
    talk = Talk()
    for speaker in ("ann", "bob", "ann"):
        talk.says(speaker)
    talk.waiting, talk.expected = {"bob"}, {"ann"}
    talk.runs(2)
    assert talk.out == ["ann", "bob"], "of ann's first turn nothing more will come"


def test_a_phrase_that_does_not_end_is_let_out_and_gives_way_when_it_has_nothing_to_say() -> None:
    talk = Talk(TurnPolicy(most_s=3))
    talk.speaking = {"music"}
    talk.runs(1)
    talk.waiting = {"bob"}
    talk.speaking = {"music", "bob"}
    talk.runs(1)
    talk.speaking = {"music"}
    assert talk.runs(3) == ["music", "bob"]
    talk.waiting = set()
    assert talk.runs(1) == ["music"]
    talk.speaking = set()
    talk.runs(2)
    assert talk.order == []


def test_a_long_phrase_that_has_something_to_say_is_not_broken_off() -> None:
    talk = Talk(TurnPolicy(most_s=3))
    talk.speaking = talk.waiting = {"ann"}
    assert talk.runs(4) == ["ann"]
    talk.speaking = talk.waiting = {"ann", "bob"}
    talk.runs(1)
    talk.speaking = {"ann"}
    assert talk.runs(10) == []


def test_the_queue_is_bounded() -> None:
    talk = Talk(TurnPolicy(most_turns=4))
    for _ in range(10):
        for speaker in ("ann", "bob"):
            talk.says(speaker, 0.5)
            talk.runs(1)
    assert talk.order == ["ann", "bob", "ann", "bob"]

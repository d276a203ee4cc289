"""The silence tail: how long a session is fed after a phrase, until all that was said has come out."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TailPolicy:
    """Bounds of the tail, in seconds."""

    least_s: float = 1.0
    """Never shorter than this."""
    most_s: float = 10.0
    """Never longer than this: what the model has not said by then, it says with the next phrase."""
    quiet_s: float = 0.8
    """The output must have been quiet this long."""
    unknown_span_s: float = 9.0
    """Ear-voice span assumed until the session has shown its own: more than the 8 s that have been reported.
    Were it less than the truth, the first output would come with the next phrase and pass for its answer."""


class Tail:
    """Follows one session's phrases and output; says when the tail is over.

    The model's time stands still when no audio is sent, so the tail must last as long as the
    session's own ear-voice span, which is learned from its output: the time from the first
    speech of a phrase to the first thing heard of it. A phrase of which nothing has come out
    yet is given the largest span seen, or `unknown_span_s` in the beginning.
    """

    def __init__(self, policy: TailPolicy | None = None) -> None:
        self._policy = policy or TailPolicy()
        self._span_s: float | None = None
        self._phrase_start: float | None = None
        self._speech_end: float | None = None
        self._last_output: float | None = None
        self._answered = False

    @property
    def span_s(self) -> float | None:
        """The largest recent span from speech to its first output; None before any."""
        return self._span_s

    def phrase_began(self, now: float) -> None:
        """Speech began at `now` (when its audio is sent, not when it was said)."""
        if self._speech_end is None or self._phrase_start is None or self.over(now):
            self._phrase_start = now
            self._answered = False
            self._last_output = None
        self._speech_end = None

    def phrase_ended(self, now: float) -> None:
        """Speech ended at `now`."""
        self._speech_end = now

    def output_heard(self, now: float) -> None:
        """Something audible, or text, came out of the session at `now`."""
        self._last_output = now
        if self._answered or self._phrase_start is None:
            return
        self._answered = True
        span = max(0.0, now - self._phrase_start)
        # One long span must not stretch all later tails: it decays towards what is usual.
        self._span_s = span if self._span_s is None else max(span, 0.8 * self._span_s + 0.2 * span)

    def over(self, now: float) -> bool:
        """Whether the session needs no more silence at `now`. False while speech lives."""
        end = self._speech_end
        if end is None:
            return False
        since = now - end
        policy = self._policy
        if since >= policy.most_s:
            return True
        span = policy.unknown_span_s if self._span_s is None else 1.25 * self._span_s + 0.3
        if since < max(policy.least_s, min(span, policy.most_s)):
            return False
        return self._last_output is None or now - self._last_output >= policy.quiet_s

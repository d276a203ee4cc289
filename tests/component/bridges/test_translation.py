"""A translation bridge over fakes, in virtual time: what was said comes out, once, whatever happens."""

import asyncio
from collections.abc import Callable

import pytest

from component.bridges.conftest import Rig
from livekit.plugins.openai_realtime.errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLost,
    RequestRejected,
    ServerFault,
    SessionExpired,
)
from livekit.plugins.openai_realtime.events import ErrorReported, InputTranscript, OutputTranscript, Unknown
from parley.bridges.translation import BridgePolicy
from parley.core.feed import FeedPolicy
from parley.core.model import BridgeSpec
from parley.testing import ScriptedDial

pytestmark = pytest.mark.looptime

MakeRig = Callable[..., Rig]


def policy(**more: object) -> BridgePolicy:
    return BridgePolicy("gpt-realtime-translate", "gpt-realtime-whisper", **more)  # type: ignore[arg-type]


async def test_what_is_said_comes_out_in_order(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    async with r.running():
        for count in (4, 11, 1):
            await r.speak(count)
            await r.silence(12)
            assert r.heard == r.said, "everything is out before anything else is said"
    assert len(dial.sessions) == 1


async def test_no_session_before_speech_and_none_after_a_long_quiet(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial, policy(idle_s=30.0))
    async with r.running():
        await r.silence(60)
        assert dial.attempts == 0
        await r.speak(5)
        assert len(dial.open) == 1
        await r.silence(25)
        assert len(dial.open) == 1
        await r.silence(20)
        assert dial.open == []
        assert dial.sessions[0].closing
        await r.speak(5)
        await r.silence(12)
        assert len(dial.open) == 1
    assert r.heard == r.said
    assert r.value("parley_session_starts_total", kind="translation") == 2
    assert r.value("parley_sessions", kind="translation") == 0
    assert r.notices.events == []


async def test_nothing_is_sent_while_nobody_speaks(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial, policy(idle_s=300.0))
    async with r.running():
        await r.speak(5)
        await r.silence(15)
        sent = len(dial.sessions[0].sent)
        await r.silence(60)
        assert len(dial.sessions[0].sent) == sent


async def test_what_is_said_while_connecting_is_kept(rig: MakeRig, dial: ScriptedDial) -> None:
    dial.connect_s = 4.0
    r = rig(dial)
    async with r.running():
        await r.speak(30)
        assert dial.sessions == []
        await r.silence(20)
    assert r.heard == r.said


async def test_finish_lets_the_tail_out(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    async with r.running() as task:
        await r.speak(7)
        assert len(r.heard) < 7
        r.audio.rest.clear()
        r.bridge.finish()
        await asyncio.sleep(5)
        assert r.heard == r.said
        assert not task.done(), "it ends when all has been played"
        r.audio.rest.set()
        await task
    assert dial.open == []


async def test_after_finish_nothing_is_heard(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    r.bridge.finish()
    await r.speak(3)
    await r.bridge.run()
    assert dial.attempts == 0


async def test_finish_during_the_handshake_loses_nothing(rig: MakeRig, dial: ScriptedDial) -> None:
    dial.connect_s = 3.0
    r = rig(dial)
    async with r.running():
        await r.speak(5)
        r.bridge.finish()
    assert r.heard == r.said


@pytest.mark.parametrize("error", [ConnectionLost(close_code=1011), SessionExpired("over"), ServerFault("x")])
@pytest.mark.parametrize("after", range(3, 24, 4))
async def test_a_lost_session_loses_and_doubles_nothing(
    rig: MakeRig, dial: ScriptedDial, after: int, error: ConnectionLost
) -> None:
    r = rig(dial)
    async with r.running():
        await r.speak(after)
        dial.sessions[0].lose(error)
        await r.speak(24 - after)
        await r.silence(15)
        assert r.heard == r.said
    assert r.notices.events == ["session.failed", "session.recovered"]
    assert r.value("parley_session_failures_total", kind="translation", reason=type(error).__name__) == 1


async def test_sessions_lost_again_and_again(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    async with r.running():
        for _ in range(6):
            await r.speak(13)
            if dial.open:
                dial.open[0].lose(ConnectionLost(reason="again"))
        await r.silence(20)
    assert r.heard == r.said
    assert r.value("parley_audio_dropped_seconds_total", where="session") == 0


async def test_a_session_lost_when_all_was_said_brings_nothing_twice(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    r = rig(dial)
    async with r.running():
        await r.speak(5)
        await r.silence(3)
        assert r.heard == r.said
        dial.sessions[0].lose(ConnectionLost(reason="late"))
        await r.silence(60)
        assert len(dial.sessions) <= 2
        assert dial.open == []
        assert r.audio.calls[-1] == "release", "the track may rest"
    assert r.heard == r.said


async def test_attempts_wait_longer_each_time_and_one_announcement_is_made(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    dial.failures.extend([ConnectError("no route")] * 5)
    r = rig(dial)
    async with r.running():
        await r.speak(20)
        await r.silence(30)
    assert dial.attempts == 6
    assert r.notices.events == ["session.failed", "session.recovered"]
    assert r.notices.said[0].detail == "no route"
    assert (r.notices.said[0].speaker, r.notices.said[0].language) == ("ana", "fr")
    assert r.value("parley_session_failures_total", kind="translation", reason="ConnectError") == 5
    assert r.heard == r.said


async def test_what_is_older_than_the_buffer_is_dropped_counted_and_announced(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    dial.connect_s = 12.0
    r = rig(dial, policy(feed=FeedPolicy(buffer_s=5.0)))
    async with r.running():
        await r.speak(100)
        await r.silence(30)
    assert r.heard == r.said[-len(r.heard) :]
    assert 30 <= len(r.heard) <= 52
    assert r.notices.events == ["audio.dropped"]
    assert r.notices.said[0].detail.endswith("s of speech older than 5 s")
    lost_s = (100 - len(r.heard)) / 10
    assert r.value("parley_audio_dropped_seconds_total", where="session") == pytest.approx(lost_s)
    assert r.notices.said[0].detail.startswith(f"{lost_s:.1f} s")


async def test_a_session_that_never_says_closed_is_left_in_time(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial, policy(close_s=5.0))
    loop = asyncio.get_running_loop()
    async with r.running() as task:
        await r.speak(5)
        await r.silence(3)
        assert r.heard == r.said
        dial.sessions[0].closes = False
        r.bridge.finish()
        began = loop.time()
        await task
        assert loop.time() - began < 10
    assert r.heard == r.said


async def test_finish_returns_although_no_session_can_be_had(rig: MakeRig, dial: ScriptedDial) -> None:
    dial.failures.extend([ConnectError("no route")] * 1000)
    r = rig(dial)
    async with asyncio.timeout(60), r.running() as task:
        await r.speak(5)
        r.bridge.finish()
        await task


async def test_finish_returns_although_the_key_is_refused(rig: MakeRig, dial: ScriptedDial) -> None:
    dial.failures.extend([AuthenticationError("no")] * 1000)
    r = rig(dial)
    async with asyncio.timeout(60), r.running() as task:
        await r.speak(5)
        await r.silence(20)
        r.bridge.finish()
        await task


async def test_what_a_bug_in_a_setting_brings_is_said_and_not_hammered(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    dial.failures.extend([RequestRejected("no such model", code="model_not_found")] * 1000)
    r = rig(dial)
    async with r.running() as task:
        await r.speak(600)
        assert dial.attempts <= 4
        assert r.notices.events.count("session.failed") == 1
        task.cancel()


# Text


async def test_the_own_words_are_transcribed_while_somebody_reads_them(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    r = rig(dial)
    async with r.running():
        await r.speak(5)
        assert dial.sessions[0].options.transcription_model is None
        for readers, model in ((frozenset({"cat"}), "gpt-realtime-whisper"), (frozenset(), None)):
            r.bridge.change(BridgeSpec(r.bridge.spec.key, frozenset({"ben"}), frozenset(), readers))
            await r.silence(0.3)
            assert dial.sessions[0].updates[-1] == model
        await r.silence(5)
        assert dial.sessions[0].updates[:2] == ["gpt-realtime-whisper", None]
        assert set(dial.sessions[0].updates[2:]) <= {None}, "who is asked for a sign of life is told the same"


async def test_a_session_is_opened_with_the_transcription_that_is_wanted(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    r = rig(dial, policy(noise_reduction="far_field"), source_readers=["cat"])
    async with r.running():
        await r.speak(5)
        options = dial.sessions[0].options
        assert (options.model, options.language) == ("gpt-realtime-translate", "fr")
        assert (options.transcription_model, options.noise_reduction) == ("gpt-realtime-whisper", "far_field")
        assert dial.sessions[0].updates == []


async def test_text_is_segments_of_each_kind_final_at_the_end_of_the_phrase(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    r = rig(dial, source_readers=["cat"])
    async with r.running():
        await r.speak(5)
        for delta in ("Bon", "jour. ", "Ça va"):
            dial.sessions[0].emit(OutputTranscript(delta, None))
        dial.sessions[0].emit(InputTranscript("Hello. How are you", 0))
        await r.silence(15)
    assert r.text.finals("source") == ["Hello.", "How are you"]
    assert r.text.finals("translation")[0] == "Bonjour."
    ids = {(kind, segment.id) for kind, segment in r.text.segments}
    assert len({i for _, i in ids}) == len(ids), "no id is shared between kinds"


async def test_an_error_that_leaves_the_session_open_is_announced(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    async with r.running():
        await r.speak(5)
        dial.sessions[0].emit(ErrorReported(RequestRejected("bad value", code="invalid_value")))
        dial.sessions[0].emit(Unknown("session.something.new"))
        await r.silence(12)
        assert len(dial.sessions) == 1
    assert [(n.event, n.detail) for n in r.notices] == [("session.error", "bad value (invalid_value)")]
    assert r.heard == r.said


# The track


async def test_the_track_is_told_what_to_expect(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    async with r.running():
        for _ in range(3):
            await r.speak(5)
            await r.silence(12)
    assert r.audio.calls[:9] == ["expect", "push", "release"] * 3


async def test_a_bridge_for_readers_alone_needs_no_track(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    r.bridge.audio = None
    async with r.running():
        await r.speak(5)
        await r.silence(12)
    assert len(r.text.finals("translation")) >= 1


async def test_the_span_from_ear_to_voice_is_measured_once_a_phrase(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    async with r.running():
        for _ in range(3):
            await r.speak(5)
            await r.silence(12)
    assert r.value("parley_ear_voice_span_seconds_count") == 3
    assert 0.8 <= r.value("parley_ear_voice_span_seconds_sum") / 3 < 1.7


async def test_the_span_counts_what_waits_to_be_played_and_lives_through_a_loss(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    r = rig(dial)
    async with r.running():
        r.audio.waiting_s = 3.0
        await r.speak(5)
        await r.silence(12)
        first_s = r.value("parley_ear_voice_span_seconds_sum")
        assert 3.8 <= first_s < 4.7
        assert 3.8 <= r.bridge.lag_s < 4.9
        r.audio.waiting_s = 0.0
        await r.speak(3)
        dial.sessions[0].lose(ConnectionLost(reason="now"))
        await r.silence(12)
    assert r.heard == r.said
    assert r.value("parley_ear_voice_span_seconds_count") == 2, "once, from when it was said"
    assert 0.8 <= r.value("parley_ear_voice_span_seconds_sum") - first_s < 3


async def test_a_budget_is_never_gone_beyond_and_what_was_paid_for_comes_out(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    frame_usd = 0.2 * 0.034 / 60
    r = rig(dial, usd=10.5 * frame_usd)
    async with r.running() as task:
        await r.speak(40)
        await r.silence(12)
        assert task.done(), "nobody pays for any more of it"
    assert len(dial.sessions[0].sent) == 10
    assert r.accounts.usd == pytest.approx(10 * frame_usd)
    assert r.bridge.usd == pytest.approx(r.accounts.usd)
    assert r.heard == r.said[: len(r.heard)]
    assert len(r.heard) >= 15
    assert (len(dial.sessions), dial.open) == (1, [])
    assert [account.used.audio_s for account in r.accounts.sessions] == [pytest.approx(2.0)]


async def test_the_spans_of_phrases_are_told_with_their_language(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    async with r.running():
        await r.speak(5)
        await r.silence(12)
    ((language, span_s),) = r.spans
    assert language == "fr"
    assert 0.8 <= span_s < 1.7


async def test_seconds_and_dollars_are_counted(rig: MakeRig, dial: ScriptedDial) -> None:
    r = rig(dial)
    async with r.running():
        await r.speak(10)
        await r.silence(12)
    sent_s = len(dial.sessions[0].sent) * 0.2
    assert r.value("parley_audio_sent_seconds_total", kind="translation") == pytest.approx(sent_s)
    assert r.value("parley_cost_usd_total", kind="translation") == pytest.approx(sent_s * 0.034 / 60)
    assert r.value("parley_audio_received_seconds_total", kind="translation") == pytest.approx(1.0, abs=0.21)
    assert r.value("parley_connect_seconds_count", kind="translation") == 1


# Cancelling


@pytest.mark.parametrize(
    "state",
    [
        "asleep",
        "connecting",
        "sending",
        "in the tail",
        "idle",
        "waiting to retry",
        "waiting after a loss",
        "closing",
        "playing",
    ],
)
async def test_cancelled_it_leaves_nothing(rig: MakeRig, dial: ScriptedDial, state: str) -> None:
    r = rig(dial)
    task = asyncio.create_task(r.bridge.run())
    if state == "connecting":
        dial.connect_s = 1e3
    if state == "waiting to retry":
        dial.failures.extend([ConnectError("no")] * 99)
    if state != "asleep":
        await r.speak(7)
    if state == "waiting after a loss":
        dial.sessions[0].lose(ConnectionLost(reason="now"))
        await asyncio.sleep(0.05)
    if state in ("in the tail", "idle"):
        await r.silence(0.7 if state == "in the tail" else 15)
    if state == "closing":
        dial.sessions[0].closes = False
        r.bridge.finish()
        await asyncio.sleep(1)
    if state == "playing":
        r.audio.rest.clear()
        r.bridge.finish()
        await asyncio.sleep(1)
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert dial.open == []
    assert dial.connecting == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert r.value("parley_sessions", kind="translation") == 0


async def test_cancelled_at_any_step_it_leaves_nothing(rig: MakeRig) -> None:
    """A phrase, a lost session, another phrase: cancelled at each turn of the loop in turn."""
    steps = 0
    ended = False
    while not ended:
        dial = ScriptedDial(lag_frames=2, connect_s=0.0)
        r = rig(dial, policy(close_s=1.0))
        task = asyncio.create_task(r.bridge.run())
        now = asyncio.get_running_loop().time()
        for n in range(1, 7):
            r.bridge.hear(n.to_bytes(2, "little") * 2400, now, True, ())
        for step in range(steps):
            await asyncio.sleep(0)
            if step == 30 and dial.sessions:
                dial.sessions[0].lose(ConnectionLost(reason="now"))
            if step == 50:
                r.bridge.finish()
        ended = steps > 120
        task.cancel()
        await asyncio.wait({task})
        assert dial.open == [], f"after {steps} steps"
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert r.value("parley_sessions", kind="translation") == 0
        steps += 1

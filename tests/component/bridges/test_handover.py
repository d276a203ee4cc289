"""Sessions that hand over, that stall, and that are told from those that have nothing to say."""

from collections.abc import Callable

import pytest

from component.bridges.conftest import Rig
from livekit.plugins.openai_realtime.errors import ConnectError, ConnectionLost, ServerFault
from livekit.plugins.openai_realtime.events import ErrorReported
from parley.bridges.translation import BridgePolicy
from parley.testing import ScriptedDial

pytestmark = pytest.mark.looptime

MakeRig = Callable[..., Rig]


def policy(**more: object) -> BridgePolicy:
    return BridgePolicy("gpt-realtime-translate", "gpt-realtime-whisper", **more)  # type: ignore[arg-type]


async def test_a_session_near_its_end_is_replaced_at_a_pause(rig: MakeRig) -> None:
    dial = ScriptedDial(lag_frames=4, lifetime_s=100.0)
    r = rig(dial, policy(rotate_s=60.0, idle_s=300.0))
    async with r.running():
        for _ in range(12):
            await r.speak(20)
            await r.silence(14)
    assert len(dial.sessions) >= 3
    assert r.heard == r.said
    assert r.notices.events == []


async def test_a_phrase_without_a_pause_is_carried_over_the_end_of_a_session(rig: MakeRig) -> None:
    dial = ScriptedDial(lag_frames=4, lifetime_s=20.0)
    r = rig(dial, policy(rotate_s=8.0))
    async with r.running():
        await r.speak(600)
        await r.silence(15)
    assert len(dial.sessions) >= 3
    assert r.heard == r.said
    assert r.notices.events == []


async def test_a_session_that_stalls_is_replaced_and_its_words_are_sent_again(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    r = rig(dial)
    async with r.running():
        await r.speak(30)
        dial.sessions[0].stalled = True
        await r.speak(100)
        await r.silence(15)
    assert r.heard == r.said
    assert len(dial.sessions) == 2
    assert r.value("parley_session_failures_total", kind="translation", reason="stalled") == 1
    assert r.notices.events == ["session.failed", "session.recovered"]


async def test_a_session_that_never_said_anything_is_replaced_within_the_buffer(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    dial.connect_s = 0.5
    r = rig(dial)
    async with r.running():
        await r.speak(7)
        dial.sessions[0].stalled = True
        await r.speak(150)
        await r.silence(15)
    assert r.heard == r.said


async def test_a_model_that_hears_its_own_language_is_silent_and_not_stalled(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    r = rig(dial)
    async with r.running():
        await r.speak(10)
        dial.sessions[0].mute = True
        await r.speak(600)
        await r.silence(15)
        assert len(dial.sessions) == 1
        assert r.notices.events == []
        assert len(dial.sessions[0].updates) < 30, "asked now and then, not all the time"


async def test_a_handover_lets_the_old_session_finish_first(rig: MakeRig) -> None:
    dial = ScriptedDial(lag_frames=10, lifetime_s=20.0, connect_s=1.0)
    r = rig(dial, policy(rotate_s=8.0))
    async with r.running():
        await r.speak(300)
        assert len(dial.sessions) >= 2
        await r.silence(15)
    assert r.heard == r.said
    assert r.notices.events == []


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("after_s", [0.0, 0.3, 1.0])
async def test_a_loss_during_the_handover_loses_and_doubles_nothing(
    rig: MakeRig, which: int, after_s: float
) -> None:
    dial = ScriptedDial(lag_frames=10, lifetime_s=20.0)
    r = rig(dial, policy(rotate_s=8.0))
    async with r.running():
        await r.speak(10)
        dial.sessions[0].closes = False  # its rest takes for ever: the handover can be hit
        while not dial.sessions[0].closing:
            await r.speak(1)
        await r.speak(round(after_s * 10))
        assert len(dial.open) == 2
        dial.open[which].lose(ConnectionLost(reason="in the handover"))
        await r.speak(30)
        await r.silence(15)
    assert r.heard == r.said


async def test_a_next_session_that_cannot_be_had_is_tried_again_and_then_done_without(rig: MakeRig) -> None:
    dial = ScriptedDial(lag_frames=4, lifetime_s=20.0)
    r = rig(dial, policy(rotate_s=8.0, last_s=1.0))
    async with r.running():
        await r.speak(100)
        dial.failures.extend([ConnectError("no")] * 4)
        await r.speak(200)
        await r.silence(15)
    assert r.heard == r.said
    assert "session.failed" not in r.notices.events


async def test_a_session_that_reports_a_fault_of_its_server_is_left_without_a_loss(
    rig: MakeRig, dial: ScriptedDial
) -> None:
    r = rig(dial)
    async with r.running():
        await r.speak(120)
        dial.sessions[0].emit(ErrorReported(ServerFault("internal")))
        await r.speak(100)
        assert len(dial.sessions) == 2
        assert dial.sessions[0].closing
        await r.silence(15)
    assert r.heard == r.said
    assert r.notices.events == ["session.error"]

"""What /metrics says while rooms live and after they have ended, and that a room leaves nothing behind."""

from __future__ import annotations

import asyncio
import re
import time

from livekit import api

from .counting import gets, heard_once, speech, track_name
from .venue import Venue

GAUGES = ("parley_rooms", "parley_participants", "parley_sessions", "parley_queue_seconds")
COUNTED = (
    'parley_session_starts_total{kind="translation"}',
    'parley_audio_sent_seconds_total{kind="translation"}',
    'parley_audio_received_seconds_total{kind="translation"}',
    'parley_cost_usd_total{kind="translation"}',
    "parley_ear_voice_span_seconds_count",
    "parley_ingress_seconds_count",
    "parley_egress_seconds_count",
)
LABELS = {"kind", "reason", "where", "direction", "le", "to", "outcome", "by"}


async def test_gauges_return_to_zero_counters_stay_and_no_label_names_anybody(venue: Venue) -> None:
    before = await venue.worker.metrics()
    files = {path.name for path in venue.worker.directory.iterdir()}
    processes = len(venue.worker.processes)
    room = await venue.room()
    said = speech("en", 4)
    async with (
        venue.join(room, "annabella", speaks="en") as ann,
        venue.join(room, "bobadilla", speaks="fr", hears="fr", captions="fr") as bob,
    ):
        await gets(bob, track_name("annabella", "fr"))
        ann.say(said.pcm)
        await heard_once(bob, "annabella", "fr", said)
        live = await _until(venue, lambda m: m["parley_rooms"] >= 1 and m["parley_participants"] >= 2)
        for name in COUNTED:
            assert live[name] > before.get(name, 0.0), name
        assert (
            live['parley_audio_sent_seconds_total{kind="translation"}']
            - before['parley_audio_sent_seconds_total{kind="translation"}']
            <= sum(session.audio_received_s for session in venue.sessions) + 0.2
        )
        text = (await venue.worker.probe("/metrics"))[1]
        assert not re.search(r"annabella|bobadilla|word-|room-", text)
        labels = {label for line in text.splitlines() for label in re.findall(r'[{,](\w+)="', line)}
        assert labels <= LABELS
    await venue.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
    after = await _until(
        venue, lambda m: all(v == 0 for name, v in m.items() if name.partition("{")[0] in GAUGES)
    )
    for name in COUNTED:
        assert after[name] >= live[name], f"{name} went back"
    starts = COUNTED[0]
    assert after[starts] - before.get(starts, 0.0) == len(venue.sessions), "an ended job counts once"
    deadline = time.monotonic() + 20
    while len(venue.worker.processes) > processes and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    assert len(venue.worker.processes) <= processes, "a job's process is left"
    assert {path.name for path in venue.worker.directory.iterdir()} <= files, "a job's files are left"


async def _until(venue: Venue, condition) -> dict[str, float]:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 20
    while not condition(metrics := await venue.worker.metrics()):
        assert time.monotonic() < deadline, metrics
        await asyncio.sleep(0.2)
    return metrics

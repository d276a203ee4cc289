"""A budget of five cents, and what the room leaves behind: a file, and a signed post."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from livekit import api

from .counting import audible, events, gets, recordings, rests, speech, told, track_name, words_on
from .running import eventually
from .venue import Venue

NAME = track_name("ann", "fr")
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
USD = 0.05
USD_PER_MINUTE = 0.3


@pytest.mark.long
async def test_five_cents_are_stopped_at_the_cent_and_the_room_goes_on_untranslated(
    venue: Venue, tmp_path: Path
) -> None:
    posted: asyncio.Queue[tuple[dict[str, str], str]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        posted.put_nowait((dict(request.headers), await request.text()))
        return web.Response(status=204)

    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"gpt-realtime-translate": {"audio_minute": USD_PER_MINUTE}}))
    app = web.Application()
    app.router.add_post("/hook", take)
    async with (
        TestServer(app) as receiver,
        venue.served(
            PARLEY_LIMITS__USD_PER_ROOM=str(USD),
            PARLEY_PRICES__FILE=str(prices),
            PARLEY_EXPORT__DIR=str(tmp_path / "summaries"),
            PARLEY_EXPORT__WEBHOOK_URL=str(receiver.make_url("/hook")),
            PARLEY_EXPORT__WEBHOOK_SECRET=SECRET,
        ) as (worker, room),
    ):
        said = speech("en", 20)
        async with (
            venue.join(room, "ann", speaks="en", hears_tracks=lambda name, publisher: True) as ann,
            venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        ):
            await gets(bob, NAME)
            ann.say(said.pcm)
            await told(bob, "budget.warning")
            await told(bob, "budget.exceeded")
            await eventually(lambda: not venue.open_sessions, 20, "the session is closed")
            await rests(bob, NAME)
            assert any(audible(recording) for recording in recordings(bob, NAME))
            found = words_on(bob, NAME, said)
            sent_s = sum(session.audio_received_s for session in venue.sessions)
            assert USD - 0.2 * USD_PER_MINUTE / 60 < sent_s * USD_PER_MINUTE / 60 <= USD + 1e-6
            assert found == list(range(len(found)))
            assert 3 <= len(found) < 20
            assert len(events(bob, "budget.warning")) == len(events(bob, "budget.exceeded")) == 1
            await ann.quiet()
            sessions = len(venue.sessions)
            begun = ann.say(speech("en", 2).pcm)
            assert begun
            await ann.quiet()
            assert len(venue.sessions) == sessions, "nothing is translated any more"
        await venue.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        async with asyncio.timeout(30):
            headers, body = await posted.get()
        data = Webhook(SECRET).verify(body, headers)["data"]
        await eventually(lambda: list((tmp_path / "summaries").glob("*.json")), 10, "a file is there")
        (path,) = (tmp_path / "summaries").iterdir()
        assert json.loads(path.read_text()) == data
        assert data["room"] == room
        assert data["cost"]["usd"] <= USD
        assert data["cost"]["by_kind"] == {"translation": data["cost"]["usd"]}
        (row,) = data["translated"]
        assert (row["speaker"], row["language"]) == ("ann", "fr")
        assert abs(row["audio_s"] - sent_s) < 0.11
        assert [person["identity"] for person in data["people"]["known"]] == ["ann", "bob"]
        assert data["events"]["counts"] == {"budget.exceeded": 1, "budget.warning": 1}
        assert data["spoken_s"] > 1
        assert data["ear_voice_span_s"]["fr"]["count"] >= 1
        assert data["estimate"]["always_on_usd"] > 0
        async with asyncio.timeout(5):  # a job reports once a second
            while not (await worker.metrics())['parley_exports_total{outcome="done",to="webhook"}']:
                await asyncio.sleep(0.1)

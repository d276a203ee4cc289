"""How a conversation goes from one connection to the next: what is kept, and what is told."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

from livekit.agents import llm, utils

from . import replay
from . import turn_events as turns
from .errors import RealtimeError
from .link import AudioUpTo, Event, Hooks, Outgoing
from .log import logger
from .mcp import McpCalls
from .replies import CONTINUE, GO_ON, Message, Resume, after_cut
from .responses import Request
from .watching import Watching

_AGAIN_BYTES = 96_000  # of a turn said again, in one append: 2 s
_NOTES = 32  # results of remote tools, and the characters of each, that a new session is told
_NOTE_CHARS = 4_000
_WORKING_S = 1.0  # ``response.done`` comes at once after the last item, unless the model is at work
_MCP_LIST_S = 10.0  # the first response waits this long for the tools of MCP servers


class Continuing(Watching):
    """The two moments at which a connection changes: `_lost` and `_opening`."""

    def _hooks(self) -> Hooks:
        return Hooks(
            address=self._create_ws_url_and_headers,
            http=self._model.http,
            gate=self._model.connect_gate,
            prepare=self._prepare,
            opening=lambda: list(self._opening()),
            opened=self._opened,
            received=self._received,
            sending=lambda event: self.emit("openai_client_event_queued", event),
            lost=self._lost,
            retrying=lambda error: self._report(error, recoverable=True),
            quiet=self._quiet,
        )

    def _received(self, event: Event) -> None:
        raise NotImplementedError

    # -- the connection is gone --

    def _lost(self, error: RealtimeError | None, goes_on: bool) -> None:
        if goes_on:
            self._emit_turn(turns.Reconnecting("rotation" if error is None else error.code or str(error)))
        self.counts["rotations" if error is None else "connections_lost"] += 1
        cancelled = self._responses.cancelling
        if (active := self._responses.lost()) is not None:
            self._emit_turn(turns.ResponseEnded(active, "incomplete", "connection_lost"))
        for name in ("created", "busy", "mcp"):
            self._not_after(name)
        self._watch_nothing()
        self._resume_reply(wanted=goes_on and not cancelled)
        if self._delayed is not None:
            handle, request = self._delayed
            self._delayed = None
            handle.cancel()
            self._responses.ask(request, first=True)
        self._replies.lost()
        self._utterances.lost()
        self._log.restart()
        self._forget_turns(but=self._utterances.audio())
        if self._utterances.unanswered is not None and self._options.answers_turns:
            self._utterances.unanswered = None
            self._responses.ask(Request(utils.shortuuid("answer_"), "answer"))

    def _resume_reply(self, *, wanted: bool) -> None:
        """Keep the generation that LiveKit reads open and ask for the rest of it, or end it."""
        if self._resuming is not None:
            return
        if self._generating is None:
            self._end_generation()
            return
        messages = self._spoken_messages()
        silent_s = asyncio.get_running_loop().time() - self._reply_at
        how = Resume.END
        if wanted:
            how = after_cut(
                messages,
                calls=self._calls,
                resumed=self._resumed,
                working=bool(self._unfinished) or silent_s > _WORKING_S,
            )
        if how is Resume.END:
            self._end_generation()
            return
        for message in messages:
            if message.done:
                self._end_message(message.message_id)
        if messages and not messages[-1].done:
            messages[-1].cut()
        params = dict(self._asked)
        order = {Resume.CONTINUE: CONTINUE, Resume.GO_ON: GO_ON}.get(how)
        if order is not None:
            before = params.get("instructions") or self._instructions
            params["instructions"] = f"{before}\n\n{order}" if before else order
        self._resumed = True
        self._resuming = utils.shortuuid("resume_")
        self.counts["replies_resumed"] += 1
        self._responses.ask(Request(self._resuming, "resume", params), first=True)

    def _spoken_messages(self) -> list[Message]:
        """The messages of the generation LiveKit reads."""
        known = (self._replies.get(message_id) for message_id in self._messages_of_generation())
        return [message for message in known if message is not None]

    # -- a connection is there --

    async def _prepare(self) -> None:
        """Have the application summarise what is too old, if it wants to."""
        summarise = self._keeping.summarise
        old = self._history().old
        if summarise is None or not old:
            return
        ids = frozenset(item.id for item in old)
        if self._summary is not None and self._summary[0] == ids:
            return
        try:
            async with asyncio.timeout(self._keeping.summarise_timeout_s):
                self._summary = (ids, await summarise(replay.spoken(old)))
        except Exception:  # noqa: BLE001 - bulkhead: the application's code; first sentences do, too
            logger.exception("the history was not summarised")

    def _history(self) -> replay.History:
        for item in self._items:
            if (message := self._replies.get(item.id)) is not None:
                self._set_text(item.id, message.text)
        items = [item for item in self._items if item.id not in self._unfinished]
        for behind, note in self._notes:
            place = next((i + 1 for i, item in enumerate(items) if item.id == behind), len(items))
            items.insert(place, note)
        return replay.bounded(
            items, most_items=self._keeping.history_items, most_chars=self._keeping.history_chars
        )

    def _opening(self) -> Iterator[Outgoing]:
        """At once: settings, conversation, what was committed, what is asked for, what was said."""
        self._mcp = McpCalls(len(self._options.mcp))
        self._responses.held = self._mcp.listing
        told = list(self._told())
        again = [event for event in told if event["type"] == "input_audio_buffer.append"]
        self._log.resume(sum(len(base64.b64decode(event["audio"])) for event in again) // 2)
        update = self._create_session_update_event()
        detection = update["session"]["audio"]["input"]["turn_detection"]
        if again:
            # Turn detection would find turns of its own in what is said again.
            update["session"]["audio"]["input"]["turn_detection"] = None
        yield update
        yield from told
        if again and detection is not None:
            restored = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
            yield {"type": "session.update", "event_id": utils.shortuuid("session_"), "session": restored}
        yield from list(self._others)
        self._others.clear()
        for mark in self._utterances.marks:
            yield AudioUpTo(mark)
            yield {"type": "input_audio_buffer.commit", "event_id": utils.shortuuid("commit_")}
        if (request := self._responses.to_send()) is not None:
            yield self._timed(request)
        yield AudioUpTo(self._log.end)

    def _told(self) -> Iterator[Event]:
        """The conversation as items; afterwards the mirror holds exactly what the server will."""
        self._apply_unconfirmed_deletions()
        history = self._history()
        audio = self._utterances.audio()
        known = {item.id for item in history.kept} | {item.id for item in history.old}
        late: list[llm.ChatItem] = [
            llm.ChatMessage(id=item_id, role="user", content=[]) for item_id in audio if item_id not in known
        ]
        kept = [*self._digest(history.old), *history.kept, *late]
        seeds = replay.seeds(kept, audio, self._short_call_id)
        for names in (self._behind, self._ours, self._theirs, self._notes):
            names.clear()
        self._unfinished.clear()
        self._mirror(item for item, _ in seeds)
        for _, item in seeds:
            if item["id"] in audio and self._options.transcription is not None:
                yield from self._said_again(item["id"], audio[item["id"]])
            else:
                event_id = utils.shortuuid("seed_")
                yield {"type": "conversation.item.create", "event_id": event_id, "item": item}
        for event in list(self._unconfirmed.values()):
            previous = event.get("previous_item_id")
            if previous not in (None, "root") and self._item(previous) is None:
                event = {name: value for name, value in event.items() if name != "previous_item_id"}
            yield event

    def _note(self, item: Event) -> None:
        """What a remote tool said is known to this session only; the next one is told in words."""
        if item.get("output") is None or any(note.id == item["id"] for _, note in self._notes):
            return
        called = f"[{item.get('server_label')}] {item.get('name')}({item.get('arguments')})"
        said = f"{called} returned: {item['output']}"
        note = llm.ChatMessage(id=item["id"], role="system", content=[said[:_NOTE_CHARS]])
        self._own.add(note.id)
        self._notes.append((self._last_item_id, note))
        del self._notes[:-_NOTES]

    def _said_again(self, item_id: str, pcm: bytes) -> Iterator[Event]:
        """A turn whose words are not known yet: only what goes through the buffer is transcribed."""
        self._utterances.say_again(item_id)
        for start in range(0, len(pcm), _AGAIN_BYTES):
            piece = base64.b64encode(pcm[start : start + _AGAIN_BYTES]).decode("ascii")
            yield {"type": "input_audio_buffer.append", "audio": piece}
        yield {"type": "input_audio_buffer.commit", "event_id": utils.shortuuid("again_")}

    def _digest(self, old: list[llm.ChatItem]) -> list[llm.ChatItem]:
        if not old:
            return []
        ids = frozenset(item.id for item in old)
        summary = self._summary
        text = summary[1] if summary is not None and summary[0] == ids else replay.digest(replay.spoken(old))
        self._folded |= ids - {replay.DIGEST_ID}
        self._own.add(replay.DIGEST_ID)
        return [llm.ChatMessage(id=replay.DIGEST_ID, role="system", content=[text])]

    def _apply_unconfirmed_deletions(self) -> None:
        for key in [key for key in self._unconfirmed if key[0] == "conversation.item.delete"]:
            del self._unconfirmed[key]
            message = self._replies.of_item(key[1])
            ours = message.message_id if message is not None else self._ours.get(key[1], key[1])
            self._remove(ours)
            self._settle_item(key[1], deleted=True)

    def _opened(self, connect_s: float) -> None:
        self._report_connection_acquired(connect_s)
        if self._responses.held:
            self._after("mcp", _MCP_LIST_S, self._mcp_listed_late)
        if self._met_before:
            self._emit_turn(turns.Reconnected())
            self.emit("session_reconnected", llm.RealtimeSessionReconnectedEvent())
        self._met_before = True

    def _mcp_listed_late(self) -> None:
        logger.warning("the tools of an MCP server were not listed in time; going on without them")
        self._mcp.stop_waiting()
        self._responses.held = False
        self._pump()

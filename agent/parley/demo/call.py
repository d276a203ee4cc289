"""`parley demo --agent`: a conversation with a voice agent in a terminal, typed; `--once`: a written one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from parley.errors import SettingsError

from . import scene
from .dialogue_view import DialogueView, open_dialogue_view
from .export import mixed, to_wav
from .keyboard import open_keyboard
from .people import Person, access_token
from .play import call_worker, write
from .stage import Stage, stage
from .standin import Standin
from .talk import LANGUAGE, Talk, summary

ASSISTANT = "assistant"
"""The agent that is always there."""
_ME = "you"
_GREETING_S = 20.0
_ANSWER_S = 30.0
_SAID_BEFORE_INTERRUPTION = 3
_HELP = "type and press Enter; while it speaks, that interrupts it; /quit or Ctrl-D ends"


def check(args: argparse.Namespace) -> None:
    """Whether there is such an agent: a mistake costs no start of a worker. Call it on the main thread.

    Raises SettingsError, AgentError.
    """
    from parley import agents

    if args.once and args.agent != ASSISTANT:
        raise SettingsError("--agent", args.agent, f"{ASSISTANT}, for which the conversation of --once is")
    sources = args.agents or [part.strip() for part in os.environ.get("PARLEY_AGENTS", "").split(",")]
    agents.load_all(source for source in sources if source)
    if args.agent not in agents.names():
        raise SettingsError("--agent", args.agent, ", ".join(agents.names()))


async def call(args: argparse.Namespace) -> int:
    """Run `parley demo --agent`; returns the exit status: 1 with `--once` where not all was as it should be.

    Raises UnavailableError.
    """
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    environ = dict(os.environ)
    if args.once:
        environ.pop("OPENAI_API_KEY", None)  # only the stand-in says what is written for it
    standin = Standin()
    options = await asyncio.to_thread(scene.options) if args.once else standin.options
    async with contextlib.AsyncExitStack() as resources:
        directory = args.out
        if directory is None:
            kept = tempfile.TemporaryDirectory(prefix="parley-demo-")
            directory = Path(resources.enter_context(kept))
        directory.mkdir(parents=True, exist_ok=True)
        view = resources.enter_context(open_dialogue_view(args.agent))
        where = await resources.enter_async_context(
            stage(directory, report=view.status, environ=environ, simulator=options, agents=args.agents)
        )
        _introduce(view, where, args)
        joining = Person.join(
            *(where.url, where.api_key, where.api_secret, where.room, _ME),
            attributes=_attributes(args),
            hears=lambda track, _: track.startswith("parley-agent:"),
            record=bool(args.once or args.out or args.record),
        )
        person = await resources.enter_async_context(joining)
        view.status("calling the worker into the room …")
        worker = await call_worker(where, [person], directory)
        view.status("")
        talk = Talk(person, worker, view, standin if where.simulated and not args.once else None)
        return await (_play if args.once else _type)(args, talk, person, view)


def _attributes(args: argparse.Namespace) -> dict[str, str]:
    return {"parley.agent": args.agent, "parley.speaks": LANGUAGE}


def _introduce(view: DialogueView, where: Stage, args: argparse.Namespace) -> None:
    how = "real API: answered by OpenAI, and billed"
    if args.once:
        how = "simulated: the agent says what is written for it"
    elif where.simulated:
        how = "simulated (no OPENAI_API_KEY): the agent repeats you, and calls its tools by their names"
    view.title(f"parley demo · {args.agent} · {how}")
    view.note(f"livekit-server {where.url} · room {where.room}")
    if not where.own_server:
        attributes = _attributes(args)
        token = access_token(where.api_key, where.api_secret, where.room, "guest", attributes=attributes)
        view.note(f"with a microphone: join with this token (6 h): {token}")
    if not args.once:
        view.note(_HELP)


async def _type(args: argparse.Namespace, talk: Talk, person: Person, view: DialogueView) -> int:
    """What is typed is said, until the keyboard or the agent ends it."""
    begun_s = time.monotonic()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, talk.over.set)
    try:
        async with asyncio.TaskGroup() as group:
            with open_keyboard() as talk.keyboard:
                watching = group.create_task(talk.watch(), name="screen")
                reading = group.create_task(_read(talk, view), name="keyboard")
                await talk.over.wait()
                reading.cancel()
                watching.cancel()
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    await _finish(args, talk, person, view, begun_s)
    return 0


async def _read(talk: Talk, view: DialogueView) -> None:
    """A terminal's lines are said at once; those of a file each when the one before has been answered."""
    assert talk.keyboard is not None
    typed = talk.keyboard.is_terminal
    answers = 1
    if not typed:
        await talk.until_answered(answers, _GREETING_S)
    async for line in talk.keyboard.lines():
        if line == "/quit":
            break
        view.typed(line)
        answers = len(talk.dialogue.answers) + 1
        await talk.say(line)
        if not typed:
            await talk.until_answered(answers, _ANSWER_S)
            await talk.until_quiet()
    talk.over.set()


async def _play(args: argparse.Namespace, talk: Talk, person: Person, view: DialogueView) -> int:
    """The written conversation, and what came of it."""
    begun_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(talk.watch(), name="screen")
        interruptions = await _perform(talk, person)
        # Judging keeps the machine busy: what the microphone suffers from then on is of no matter.
        stalls = len(person.stalls)
        watching.cancel()
    await _finish(args, talk, person, view, begun_s)
    view.status("counting words …")
    heard = await asyncio.to_thread(scene.heard_in, person.recordings)
    stopped_s = {
        name: await asyncio.to_thread(scene.silent_after, person.recordings, at_s)
        for name, at_s in interruptions.items()
    }
    view.status("")
    troubles = [
        *talk.troubles,
        *([] if talk.bill is not None and talk.bill.usd > 0 else ["nothing was billed"]),
    ]
    mine = [line.text for line in talk.dialogue.lines if line.mine]
    said = [line.text for line in talk.dialogue.answers]
    verdict = scene.judge(mine, said, heard, stopped_s, troubles)
    view.verdict(verdict)
    if stalls:
        view.note(f"your microphone ran dry {stalls} times: a busy machine")
    return 0 if verdict.ok else 1


async def _perform(talk: Talk, person: Person) -> dict[str, float]:
    """Say the person's part; returns when each interruption began (monotonic, s). What does not come is left
    out."""
    interruptions: dict[str, float] = {}
    for number, exchange in enumerate(scene.SCENE):
        if exchange.interrupts:
            ready = await talk.until_saying(_SAID_BEFORE_INTERRUPTION, _ANSWER_S)
        else:
            ready = await talk.until_answered(number, _ANSWER_S)
        if not ready:
            return interruptions
        if exchange.asked:
            at_s = person.say(scene.sound_of(exchange.asked))
            talk.dialogue.spoke(at_s)
            if exchange.interrupts:
                interruptions[exchange.name] = at_s
    await talk.until_answered(len(scene.SCENE), _ANSWER_S)
    await talk.until_quiet()
    return interruptions


async def _finish(
    args: argparse.Namespace, talk: Talk, person: Person, view: DialogueView, begun_s: float
) -> None:
    """The summary, and the files."""
    seconds = time.monotonic() - begun_s
    talk.keyboard = None
    await talk.ask()
    talk.look()
    view.note(summary(talk.dialogue.turns, seconds, talk.bill))
    written: Sequence[Path] = ()
    if args.out:
        written = await asyncio.to_thread(write, {_ME: person}, args.out, begun_s)
    if args.record:
        sound = await asyncio.to_thread(mixed, person.recordings)
        args.record.write_bytes(to_wav(sound))
        written = [*written, args.record]
    if written:
        view.note(f"wrote {', '.join(map(str, written))}")

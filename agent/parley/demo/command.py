"""`parley demo`: everything on one machine, watched in the terminal; `--once` counts every word and exits."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from parley.errors import SettingsError

from .captions_view import CaptionRow, newest
from .people import Person, access_token
from .play import CAST, Script, call_worker, cast, count, perform, prepare, silence, write
from .stage import Stage, Usage, stage
from .view import PersonRow, Snapshot, View, open_view, print_tallies

_REFRESH_S = 0.25
_METRICS_EVERY = 8
_PAUSE_S = 4.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `parley demo`."""
    parser.add_argument(
        "--once", action="store_true", help="play once, count every word at every listener, and exit"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write transcripts, sound and logs there")
    parser.add_argument(
        "--agent",
        nargs="?",
        const="assistant",
        metavar="NAME",
        help="type to a voice agent (%(const)s if none is named); with --once, a written conversation",
    )
    parser.add_argument(
        "--agents",
        action="append",
        default=[],
        metavar="MODULE_OR_FILE",
        help="with --agent: registers voice agents, as for `parley start`",
    )
    parser.add_argument("--record", type=Path, metavar="FILE", help="with --agent: write what it said (WAV)")


def run(args: argparse.Namespace) -> int:
    """Run the demo until it is over or Ctrl-C; returns the exit status. No child is left.

    0: with `--once` every word arrived where it belongs, without, ended by hand. 1: not every word did.
    130: `--once` was interrupted. Raises UnavailableError, one line, where something needed is missing, and
    SettingsError or AgentError for options that do not go together.
    """
    if args.agent is None and (args.agents or args.record):
        option, given = ("--agents", args.agents[0]) if args.agents else ("--record", str(args.record))
        raise SettingsError(option, given, "beside --agent")
    if args.agent is None:
        return _run(_main(args), args.once)
    from .call import call, check

    check(args)
    return _run(call(args), args.once)


def _run(work: Coroutine[None, None, int], once: bool) -> int:
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return 130 if once else 0


@dataclass
class _Show:
    """What is on the screen, gathered from the people and the worker."""

    view: View
    snapshot: Snapshot
    people: Mapping[str, Person] = field(default_factory=dict)
    usage: Usage = field(default_factory=lambda: Usage({}, {}))
    read: set[tuple[str, str, str, str]] = field(default_factory=set)

    def status(self, line: str) -> None:
        """One line at the bottom."""
        self.snapshot = replace(self.snapshot, status=line)
        self.refresh()

    def refresh(self) -> None:
        """Draw what is known now."""
        rows = tuple(PersonRow(name, CAST[name], p.speaking) for name, p in self.people.items())
        captions = {CAST[name]: self._read(name, person) for name, person in self.people.items()}
        usage = self.usage
        self.snapshot = replace(
            self.snapshot,
            people=rows,
            captions=captions,
            sessions=usage.sessions,
            cost_usd=usage.cost_usd,
            span_s=usage.span_s,
        )
        self.view.show(self.snapshot)

    def _read(self, name: str, person: Person) -> tuple[CaptionRow, ...]:
        """What somebody reads; those of their captions that are new are told one by one."""
        captions = list(person.captions)
        for caption in captions[-50:]:
            key = (name, caption.sender, caption.language, caption.segment_id)
            if caption.complete and caption.final and key not in self.read:
                self.read.add(key)
                self.view.caption(name, caption.sender, caption.language, caption.text)
        return newest(captions)

    @contextlib.asynccontextmanager
    async def watching(self, where: Stage, people: Mapping[str, Person]) -> AsyncIterator[None]:
        """Keep the screen up to date while the block runs."""
        self.people = people
        task = asyncio.create_task(self._keep(where), name="screen")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep(self, where: Stage) -> None:
        turn = 0
        while True:
            if turn % _METRICS_EVERY == 0:
                self.usage = await where.usage()
            turn += 1
            self.refresh()
            await asyncio.sleep(_REFRESH_S)


async def _main(args: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    # Ended by a supervisor as by Ctrl-C: in order, with nothing left.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    play = await asyncio.to_thread(prepare)
    with contextlib.ExitStack() as resources:
        directory = args.out
        if directory is None:
            kept = tempfile.TemporaryDirectory(prefix="parley-demo-")
            directory = Path(resources.enter_context(kept))
        directory.mkdir(parents=True, exist_ok=True)
        view = resources.enter_context(open_view())
        show = _Show(view, Snapshot("parley demo"))
        async with stage(directory, report=show.status) as where:
            show.snapshot = replace(show.snapshot, title=_title(where), notes=_notes(where))
            async with cast(where, record=args.once) as people, show.watching(where, people):
                return await _play(args, where, people, play, show, directory)


async def _play(
    args: argparse.Namespace,
    where: Stage,
    people: Mapping[str, Person],
    play: Script,
    show: _Show,
    directory: Path,
) -> int:
    show.status("calling the worker into the room …")
    await call_worker(where, people.values(), directory)
    while not args.once:
        show.status("playing; Ctrl-C ends everything")
        await perform(people, play)
        await asyncio.sleep(_PAUSE_S)
    show.status("playing once …")
    spoken = await perform(people, play)
    show.status("listening until nothing more comes …")
    await silence(people)
    # Counting keeps the machine busy: what the microphones suffer from then on is of no matter.
    stalls = {name: len(person.stalls) for name, person in people.items() if person.stalls}
    show.status("counting words …")
    rows = await asyncio.to_thread(count, people, play, spoken)
    if args.out:
        written = await asyncio.to_thread(write, people, directory, min(item.at_s for item in spoken))
        show.status(f"wrote {len(written)} files to {directory}")
    print_tallies(show.view.console, rows)
    for name, times in stalls.items():
        show.view.console.print(
            f"{name}'s microphone ran dry {times} times: a busy machine, spans are too long"
        )
    return 0 if rows and all(row.perfect for row in rows) else 1


def _title(where: Stage) -> str:
    if where.simulated:
        return "parley demo · simulated (no OPENAI_API_KEY): words are repeated, nothing is translated"
    return "parley demo · real API: translated by OpenAI, and billed"


def _notes(where: Stage) -> tuple[str, ...]:
    if where.own_server:
        return (f"livekit-server {where.url} · room {where.room}",)
    token = access_token(where.api_key, where.api_secret, where.room, "guest")
    return (f"join: {where.url} · room {where.room}", f"token (6 h): {token}")

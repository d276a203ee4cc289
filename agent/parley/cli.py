"""The command line: `parley start`, `parley demo`, `parley simulator`, `parley estimate`."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from . import __version__
from .errors import AgentError, SettingsError, UnavailableError


class _Command(Protocol):
    """A command's module."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds its options."""

    def run(self, args: argparse.Namespace) -> int:
        """Does it; returns the exit status."""


class _Start:
    """`parley start`."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Voice agents; all else a worker is told by its environment."""
        parser.add_argument(
            "--agents",
            metavar="MODULE_OR_FILE",
            action="append",
            default=[],
            help="registers voice agents; may be given more than once; takes the place of PARLEY_AGENTS",
        )

    def run(self, args: argparse.Namespace) -> int:
        """Reads the settings, loads the agents, then works until SIGTERM."""
        from . import config

        settings = config.load(args.agents)
        from . import agents

        agents.load_all(settings.agents)
        agents.check(settings)
        from .export import redaction

        redaction.load(settings.export.redact)
        from . import worker

        return worker.run(settings)


def _demo() -> _Command:
    try:
        from .demo import command
    except ModuleNotFoundError as e:
        raise UnavailableError(f"{e.name} is not installed: pip install 'livekit-parley[demo]'") from e
    return command


def _simulator() -> _Command:
    from .simulator import command

    return command


def _estimate() -> _Command:
    from . import estimate

    return estimate


_COMMANDS: dict[str, tuple[str, Callable[[], _Command]]] = {
    "start": ("a production worker; the settings come from the environment", _Start),
    "demo": ("everything on one machine: server, worker, people speaking", _demo),
    "estimate": ("what a room will cost: people, languages, talk share", _estimate),
    "simulator": ("a stand-in for the OpenAI Realtime API", _simulator),
}


def _parser(chosen: str, command: _Command | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parley", description="An interpreter beside every participant of a LiveKit room."
    )
    parser.add_argument("--version", action="version", version=f"parley {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (text, _) in _COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if name == chosen and command is not None:
            command.add_arguments(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Exit status: 0 done, 1 failed, 2 bad usage or settings."""
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = words[0] if words else ""
    try:
        command = _COMMANDS[chosen][1]() if chosen in _COMMANDS else None
        args = _parser(chosen, command).parse_args(words)
        return command.run(args) if command is not None else 2
    except (SettingsError, AgentError) as e:
        print(f"parley: {e}", file=sys.stderr)
        return 2
    except UnavailableError as e:
        print(f"parley: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130

"""`parley simulator`: the simulator as a process of its own."""

import argparse
import asyncio
import json
import signal
import sys
from dataclasses import replace
from pathlib import Path

from .options import SimulatorOptions
from .server import Simulator
from .turns import Turn, turn_from_json

__all__ = ["add_arguments", "run", "serve"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `parley simulator`."""
    default = SimulatorOptions()
    parser.add_argument("--host", default=default.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=8089, help="port, 0 for a free one (%(default)s)")
    parser.add_argument(
        "--model-lag-s", type=float, default=default.model_lag_s, help="speech in to its output (%(default)s)"
    )
    parser.add_argument(
        "--lag-clock", choices=("model", "wall"), default=default.lag_clock, help="(%(default)s)"
    )
    parser.add_argument(
        "--handshake-s",
        type=float,
        default=default.handshake_s,
        help="connect to session.created (%(default)s)",
    )
    parser.add_argument(
        "--session-lifetime-s", type=float, default=default.session_lifetime_s, help="(%(default)s)"
    )
    parser.add_argument(
        "--delta-ms", type=int, choices=(200, 400), default=default.delta_ms, help="(%(default)s)"
    )
    parser.add_argument("--silent-deltas", action="store_true", help="send silence as deltas too")
    parser.add_argument(
        "--response-latency-s",
        type=float,
        default=default.response_latency_s,
        help="a conversation's response to its first output (%(default)s)",
    )
    parser.add_argument(
        "--reply-speed",
        type=float,
        default=default.reply_speed,
        help="how many times real time a reply is sent (%(default)s)",
    )
    parser.add_argument(
        "--delay-scale",
        type=float,
        default=default.delay_scale,
        help="multiplies the time from a word to its text in a transcription (%(default)s)",
    )
    parser.add_argument(
        "--url-model",
        choices=("api", "ignored"),
        default=default.url_model,
        help="a model in the URL of a transcription: as the API takes it, or as a gateway (%(default)s)",
    )
    parser.add_argument(
        "--script", type=Path, metavar="FILE", help="what conversations say: a JSON list of turns"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status: 0, 1 if the port can't be had, 2 for a bad
    value."""
    try:
        options = SimulatorOptions(
            model_lag_s=args.model_lag_s,
            lag_clock=args.lag_clock,
            handshake_s=args.handshake_s,
            session_lifetime_s=args.session_lifetime_s,
            delta_ms=args.delta_ms,
            silent_deltas=args.silent_deltas,
            response_latency_s=args.response_latency_s,
            reply_speed=args.reply_speed,
            delay_scale=args.delay_scale,
            url_model=args.url_model,
            script=() if args.script is None else _turns(args.script),
        )
        replace(options, host=args.host, port=args.port)
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        asyncio.run(serve(args.host, args.port, options))
    except OSError as error:
        sys.stderr.write(f"simulator: can't listen on {args.host}:{args.port}: {error.strerror or error}\n")
        return 1
    return 0


def _turns(path: Path) -> list[Turn]:
    """The turns in a file. Raises ValueError, in one line that says what is wrong."""
    try:
        given = json.loads(path.read_text())
    except OSError as error:
        raise ValueError(f"script: got {path}: {error.strerror}, allowed: a file that can be read") from None
    except ValueError:
        raise ValueError(f"script: got no JSON in {path}, allowed: a list of turns") from None
    if not isinstance(given, list):
        raise ValueError(f"script: got {type(given).__name__}, allowed: a list of turns")
    return [turn_from_json(turn) for turn in given]


async def serve(host: str, port: int, options: SimulatorOptions | None = None) -> None:
    """Serve on host:port until SIGTERM or SIGINT; says so in one line when ready. Raises OSError if it can't
    listen."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, ended.set)
    try:
        async with Simulator(replace(options or SimulatorOptions(), host=host, port=port)) as simulator:
            sys.stdout.write(f"simulator: {simulator.base_url} (simulated, no OpenAI)\n")
            sys.stdout.flush()
            await ended.wait()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)

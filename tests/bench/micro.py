"""The steps of the audio path by themselves, in µs of CPU, beside the stock way where there is one.

    python tests/bench/micro.py

Each number is the median of several runs of many calls. `% of a core` is for one stream in real time.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import median

import numpy as np
from livekit.local_inference import VAD, VAD_WINDOW_SAMPLES
from processes import machine
from report import Table, ratio, shown

from livekit import rtc
from livekit.plugins.openai_realtime.options import TranslationOptions
from livekit.plugins.openai_realtime.translation import TranslationProtocol
from parley.core.framing import RATE_HZ
from parley.demo.speech import Utterance, countable_words, render
from parley.media.bus import Bus
from parley.media.frames import FRAME_SAMPLES
from parley.media.gate import PhraseGate
from parley.media.playout import Playout
from parley.media.resample import Resampler24To16
from parley.media.stretch import LOOKAHEAD_BYTES, Squeeze
from parley.media.vad import SpeechProbability

_RUN_S = 0.15
Step = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One step: what it works on, ours, and the stock one."""

    name: str
    audio_ms: float
    ours: Step
    stock: Step | None = None
    stock_name: str = ""


def cost_us(step: Step, runs: int) -> float:
    """CPU of this thread for one call, in µs."""
    calls = 1
    while True:
        began = time.perf_counter()
        _repeat(step, calls)
        if time.perf_counter() - began > _RUN_S / 4:
            break
        calls *= 2
    return median(_repeat(step, calls * 2) / (calls * 2) for _ in range(runs)) * 1e6


def _repeat(step: Step, calls: int) -> float:
    began = time.process_time()
    for _ in range(calls):
        step()
    return time.process_time() - began


def _speech() -> np.ndarray:
    words = countable_words("en", voice=0, count=12)
    return render([Utterance("p", i, i * 0.5) for i in range(12)], "p", words, duration_s=6.0)


def _open_protocol() -> TranslationProtocol:
    protocol = TranslationProtocol(TranslationOptions(model="gpt-realtime-translate", language="fr"))
    session = {"id": "s", "model": "m", "expires_at": 1, "audio": {"output": {"language": "fr"}}}
    for kind in ("session.created", "session.updated"):
        protocol.receive_text(json.dumps({"type": kind, "event_id": "e", "session": session}))
    protocol.data_to_send()
    return protocol


def rows() -> list[Row]:
    """Every step with its stock counterpart."""
    speech = _speech()
    frame = speech[: RATE_HZ // 10]
    pcm = frame.tobytes()
    block = speech[: RATE_HZ // 5].tobytes()
    window = speech[:VAD_WINDOW_SAMPLES]
    stock_resampler = rtc.AudioResampler(RATE_HZ, 16_000, num_channels=1)
    resampler, vad, model, gate = Resampler24To16(), SpeechProbability(), VAD(), PhraseGate()
    protocol = _open_protocol()
    encoded = base64.b64encode(block).decode()
    delta = json.dumps(
        {
            "type": "session.output_audio.delta",
            "event_id": "event_1",
            "delta": encoded,
            "sample_rate": RATE_HZ,
            "channels": 1,
            "format": "pcm16",
            "elapsed_ms": 200,
        }
    )

    def decide() -> None:
        gate.decide((0.9, 0.9, 0.1))
        gate.remember(pcm, 0.1)

    def append() -> None:
        protocol.append(block)
        protocol.data_to_send()

    def stock_append() -> str:
        audio = base64.b64encode(block).decode("utf-8")
        return json.dumps({"type": "session.input_audio_buffer.append", "audio": audio})

    def stock_delta() -> rtc.AudioFrame:
        event = json.loads(delta)
        return rtc.AudioFrame(base64.b64decode(event["delta"]), event["sample_rate"], 1, len(block) // 2)

    return [
        Row(
            "resample 100 ms, 24 → 16 kHz",
            100,
            lambda: resampler.push(frame),
            lambda: stock_resampler.push(bytearray(pcm)),
            "rtc.AudioResampler",
        ),
        Row("VAD, 100 ms with resampling", 100, lambda: vad.push(frame)),
        Row("VAD model alone, 32 ms", 32, lambda: model.predict(window)),
        Row("gate, 100 ms", 100, decide),
        Row("playout, 200 ms in and out", 200, _playing(block)),
        Row("speech played faster, 200 ms in", 200, _squeezing(block)),
        Row("mixing 10 voices for 10, 20 ms", 20, _mixing()),
        Row("encode append, 200 ms", 200, append, stock_append, "json.dumps"),
        Row(
            "decode delta, 200 ms", 200, lambda: protocol.receive_text(delta), stock_delta, "json, AudioFrame"
        ),
    ]


def _playing(block: bytes) -> Step:
    playout = Playout()
    now = 0.0

    def play() -> None:
        nonlocal now
        playout.push(block, now)
        for _ in range(10):
            playout.due(now)
            now += 0.02

    return play


def _squeezing(block: bytes) -> Step:
    squeeze, held = Squeeze(), bytearray()

    def take() -> None:
        held.extend(block)
        while len(held) >= LOOKAHEAD_BYTES:
            squeeze.take(held, 1.35)

    return take


def _mixing() -> Step:
    rng = np.random.default_rng(1)
    voices = {i: rng.normal(0, 2000, FRAME_SAMPLES).astype(np.float32) for i in range(10)}
    listeners = [(i, {voice: 1.0 for voice in voices if voice != i}) for i in range(10)]
    bus = Bus()
    return lambda: bus.mixed(voices, listeners)


def main() -> int:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="of which the median is shown (%(default)s)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--markdown", action="store_true", help="a table for the README")
    args = parser.parse_args()
    found: list[tuple[str, ...]] = []
    numbers = {}
    for row in rows():
        ours = cost_us(row.ours, args.runs)
        stock = cost_us(row.stock, args.runs) if row.stock else None
        share = ours / row.audio_ms / 10
        numbers[row.name] = {"parley_us": ours, "stock_us": stock}
        cells = (shown(ours), shown(share, 3), shown(stock), ratio(ours, stock), row.stock_name)
        found.append((row.name, *cells))
    head = ("step", "Parley µs", "% of a core", "stock µs", "Parley ÷ stock", "stock is")
    table = Table("Steps", head, found)
    command = f"python tests/bench/micro.py {' '.join(sys.argv[1:])}".strip()
    print(f"{machine()}\n{date.today()}: `{command}`\n")
    print(table.markdown() if args.markdown else table)
    if args.json is not None:
        args.json.write_text(json.dumps({"command": command, "machine": machine(), "steps": numbers}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

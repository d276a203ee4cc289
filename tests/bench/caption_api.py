"""The simulator in a process of its own, which understands the words that speakers of `captions.py` say.

`python caption_api.py DIRECTORY` says its base URL in one line and ends at SIGTERM. BENCH_VOICES: how many
voices it knows. What it has to tell is on the routes of the simulator; the directory stays empty.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from caption_words import words_of

from parley.simulator import Simulator, SimulatorOptions

sys.path.append(str(Path(__file__).resolve().parent.parent))
from e2e.dictation import Dictionary


async def main() -> None:
    """Serves until SIGTERM."""
    known = Dictionary()
    for voice in range(int(os.environ["BENCH_VOICES"])):
        for word in words_of(voice):
            known.add(word)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    # `ignored`: LiveKit's plugin names the model in the URL of every host that is not OpenAI's.
    async with Simulator(SimulatorOptions(recognise_word=known.recognise, url_model="ignored")) as simulator:
        print(simulator.base_url, flush=True)
        await ended.wait()


if __name__ == "__main__":
    asyncio.run(main())

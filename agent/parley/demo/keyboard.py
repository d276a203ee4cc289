"""A keyboard: what is being typed, and the lines that are done; a file or a pipe is typed out the same way.

In a terminal what is typed is not echoed: whoever draws the screen draws `draft` as well.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import re
import sys
import termios
import tty
from collections import deque
from collections.abc import AsyncIterator, Iterator

_MOST_LINES = 1_000
_CHUNK = 4_096
_ESCAPE = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|O.|.)?")


class Typing:
    """Characters in, lines out. Backspace, Ctrl-U and Ctrl-W do what they do in a shell."""

    def __init__(self) -> None:
        self.draft = ""
        """The line that is being typed."""
        self.lines: deque[str] = deque(maxlen=_MOST_LINES)
        """Lines that are done; of more than a thousand the oldest go."""
        self.ended = False
        """Whether Ctrl-D was typed on an empty line."""

    def feed(self, text: str) -> None:
        """What came from the keyboard."""
        for character in _ESCAPE.sub("", text):
            match character:
                case "\r" | "\n":
                    if self.draft.strip():
                        self.lines.append(self.draft.strip())
                    self.draft = ""
                case "\x7f" | "\b":
                    self.draft = self.draft[:-1]
                case "\x15":
                    self.draft = ""
                case "\x17":
                    self.draft = self.draft.rstrip().rpartition(" ")[0]
                    self.draft += " " if self.draft else ""
                case "\x04":
                    self.ended = self.ended or not self.draft
                case _:
                    self.draft += character if character.isprintable() else ""

    def end(self) -> None:
        """Nothing more comes: the last line may have no end of its own."""
        self.feed("\n")
        self.ended = True


class Keyboard:
    """Reads one descriptor on the running loop. Use `open_keyboard`."""

    def __init__(self, descriptor: int) -> None:
        self.is_terminal = os.isatty(descriptor)
        self._descriptor = descriptor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typing = Typing()
        self._changed = asyncio.Event()

    @property
    def draft(self) -> str:
        """The line that is being typed."""
        return self._typing.draft

    async def lines(self) -> AsyncIterator[str]:
        """Lines until the end of the input."""
        while True:
            while self._typing.lines:
                yield self._typing.lines.popleft()
            if self._typing.ended:
                return
            self._changed.clear()
            await self._changed.wait()

    def read(self) -> bool:
        """Take what is there; whether more may come. Blocks where nothing is there."""
        data = os.read(self._descriptor, _CHUNK)
        if data:
            self._typing.feed(self._decoder.decode(data))
        else:
            self._typing.end()
        self._changed.set()
        return bool(data)


@contextlib.contextmanager
def open_keyboard(descriptor: int | None = None) -> Iterator[Keyboard]:
    """The standard input, until the block is left; Ctrl-C stays a signal."""
    descriptor = sys.stdin.fileno() if descriptor is None else descriptor
    keyboard = Keyboard(descriptor)
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not keyboard.read():
            loop.remove_reader(descriptor)

    with contextlib.ExitStack() as resources:
        if keyboard.is_terminal:
            before = termios.tcgetattr(descriptor)
            resources.callback(termios.tcsetattr, descriptor, termios.TCSADRAIN, before)
            tty.setcbreak(descriptor)
        try:
            loop.add_reader(descriptor, readable)
            resources.callback(loop.remove_reader, descriptor)
        except PermissionError:  # a file is always readable, which epoll refuses to say
            while keyboard.read():
                pass
        yield keyboard

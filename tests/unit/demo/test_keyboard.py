"""What is typed: editing, ends of lines, and inputs that are no terminal."""

from __future__ import annotations

import os
import pty
import termios
from pathlib import Path

import pytest

from parley.demo.keyboard import Typing, open_keyboard


@pytest.mark.parametrize(
    ("typed", "lines", "draft"),
    [
        ("hello\r", ["hello"], ""),
        ("hello\r\nyou\n", ["hello", "you"], ""),
        ("helo\x7flo\r", ["hello"], ""),
        ("wrong\x15right\r", ["right"], ""),
        ("two words\x17more", [], "two more"),
        ("\r  \r", [], ""),
        ("a\x1b[Db\x1bOPc\r", ["abc"], ""),
        ("grüß 你好", [], "grüß 你好"),
        ("\x7f\x7fx", [], "x"),
        ("a\x00b\x07", [], "ab"),
    ],
)
def test_what_is_typed_becomes_lines(typed: str, lines: list[str], draft: str) -> None:
    typing = Typing()
    typing.feed(typed)
    assert (list(typing.lines), typing.draft) == (lines, draft)


def test_the_end_is_ctrl_d_on_an_empty_line_only() -> None:
    typing = Typing()
    typing.feed("abc\x04")
    assert not typing.ended
    typing.feed("\r\x04")
    assert typing.ended
    assert list(typing.lines) == ["abc"]


async def test_a_terminal_is_left_as_it_was_and_echoes_nothing_meanwhile() -> None:
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        with open_keyboard(theirs) as keyboard:
            assert keyboard.is_terminal
            assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ICANON)
            assert termios.tcgetattr(theirs)[3] & termios.ISIG
            os.write(ours, "grüß\rrest\x04".encode())
            lines = keyboard.lines()
            assert await anext(lines) == "grüß"
            os.write(ours, b"\x15\x04")
            assert [line async for line in lines] == []
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("kind", ["file", "pipe"])
async def test_a_file_and_a_pipe_are_read_to_their_end(kind: str, tmp_path: Path) -> None:
    text = b"one\ntwo\n\nthree"
    if kind == "file":
        path = tmp_path / "typed"
        path.write_bytes(text)
        descriptor = os.open(path, os.O_RDONLY)
    else:
        descriptor, other = os.pipe()
        os.write(other, text)
        os.close(other)
    try:
        with open_keyboard(descriptor) as keyboard:
            assert not keyboard.is_terminal
            assert [line async for line in keyboard.lines()] == ["one", "two", "three"]
    finally:
        os.close(descriptor)

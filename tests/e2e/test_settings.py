"""A setting that is missing or wrong: exit status 2, and one line that names it and what is allowed."""

from __future__ import annotations

import asyncio
import sys

import pytest

from .running import environment

RIGHT = {
    "LIVEKIT_URL": "ws://127.0.0.1:9",
    "LIVEKIT_API_KEY": "key",
    "LIVEKIT_API_SECRET": "s" * 32,
}


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("LIVEKIT_URL", None, ["not set", "wss://"]),
        ("OPENAI_API_KEY", None, ["not set"]),
        ("LIVEKIT_URL", "example.com", ["'example.com'", "ws://"]),
        ("PARLEY_HTTP_PORT", "99999", ["'99999'", "65535"]),
        ("PARLEY_LIMITS__LANGUAGES", "fr,tlh", ["tlh", "es"]),
        ("PARLEY_DEFAULTS__HEARS", "klingon", ["klingon", "original"]),
        ("PARLEY_TRANSLATION__MODAL", "x", ["no such setting", "PARLEY_TRANSLATION__MODEL"]),
    ],
)
async def test_a_wrong_setting_is_one_line_and_status_2(
    name: str, value: str | None, words: list[str]
) -> None:
    env = environment(None, "http://127.0.0.1:9/v1", **RIGHT)
    env.pop(name, None)
    if value is not None:
        env[name] = value
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "parley", "start"), env=env, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        _, stderr = await process.communicate()
    text = stderr.decode()
    assert process.returncode == 2, text
    assert len(text.splitlines()) == 1, text
    assert text.startswith(f"parley: {name}: ")
    for word in words:
        assert word in text
    assert "s" * 32 not in text

"""`parley estimate`: what it prints, and what a person reads who mistypes something."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from parley import cli

SIX = ("estimate", "--people", "en=2,fr=2,de=2")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("PARLEY_", "LIVEKIT_", "OPENAI_")):
            monkeypatch.delenv(name)


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def as_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed(capsys, *words, "--json"))
    return found


def test_the_table_tells_sessions_minutes_and_money_of_each_mode(capsys: pytest.CaptureFixture[str]) -> None:
    table = printed(capsys, *SIX)
    rows = {line[:16].strip(): line[16:].split() for line in table.splitlines()[3:6]}
    assert rows["always on"] == ["12", "720.0", "24.48", "5.0×"]
    assert rows["parley"][0] == "12"
    assert rows["captions only"][0] == "6"
    assert "prices as of 2026-11-21" in table
    assert "6 people, 6 of them speaking; languages: de, en, fr; 60 minutes" in table
    assert all(line == line.rstrip() and len(line) <= 110 for line in table.splitlines())


def test_the_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, *SIX, "--minutes", "30", "--talk-share", "0.5")
    parley, always, captions = found["modes"]
    assert (parley["name"], always["name"], captions["name"]) == ("parley", "always on", "captions only")
    assert always["usd"] == pytest.approx(12 * 30 * 0.034)
    assert (found["people"], found["languages"], found["talk_share"]) == (6, ["de", "en", "fr"], 0.5)
    assert found["voice_agents"] is None
    assert found["prices_as_of"] == "2026-11-21"


def test_listeners_and_agents(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("estimate", "--people", "en=1", "--listeners", "fr=100,de=50")
    found = as_json(capsys, *words, "--agents", "2", "--agent-minutes", "10")
    assert (found["people"], found["speakers"], found["modes"][0]["sessions"]) == (151, 1, 2)
    assert (found["voice_agents"]["sessions"], found["voice_agents"]["minutes"]) == (2, 20)
    assert "voice agents" in printed(capsys, *words, "--agents", "2")


def test_agents_alone_need_no_people(capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "estimate", "--agents", "1")
    assert found["modes"][0]["usd"] == 0 < found["voice_agents"]["usd"]
    assert "languages: none" in printed(capsys, "estimate", "--agents", "1")


def test_a_region_is_its_language(capsys: pytest.CaptureFixture[str]) -> None:
    assert as_json(capsys, "estimate", "--people", "pt-BR=1, pt=1")["modes"][0]["sessions"] == 0


def test_the_settings_of_the_worker_hold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = as_json(capsys, *SIX)
    path = tmp_path / "prices.json"
    path.write_text('{"as_of": "2027-02-01", "my-model": {"audio_minute": 0.34}}')
    monkeypatch.setenv("PARLEY_PRICES__FILE", str(path))
    monkeypatch.setenv("PARLEY_TRANSLATION__MODEL", "my-model")
    monkeypatch.setenv("PARLEY_TRANSLATION__TAIL_MOST_S", "2")
    found = as_json(capsys, *SIX)
    assert (found["prices_as_of"], found["tail_s"]) == ("2027-02-01", 2)
    assert found["modes"][1]["usd"] == pytest.approx(10 * before["modes"][1]["usd"])
    assert found["modes"][0]["minutes"] < before["modes"][0]["minutes"]


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ((), "--people: not set; needed: language=number"),
        (("--people", "en"), "--people: 'en' is not allowed; allowed: language=number"),
        (("--people", "xx=1"), "--people: 'xx=1' is not allowed"),
        (("--people", "en=-1"), "--people: 'en=-1' is not allowed"),
        (("--people", "en=0"), "--people: 'en=0' is not allowed; allowed: 1 to 100000 people"),
        (("--people", "en=999999"), "--people: 'en=999999' is not allowed; allowed: 1 to 100000 people"),
        (("--people", ""), "--people: '' is not allowed"),
        (("--people", "en=١"), "--people: 'en=١' is not allowed"),
        (("--people", "en=1", "--listeners", "fr"), "--listeners: 'fr' is not allowed"),
        (("--people", "en=1", "--minutes", "-1"), "--minutes: '-1' is not allowed; allowed: a number from 0"),
        (("--people", "en=1", "--minutes", "nan"), "--minutes: 'nan' is not allowed"),
        (("--people", "en=1", "--minutes", "1e9"), "--minutes: '1e9' is not allowed"),
        (
            ("--people", "en=1", "--talk-share", "80%"),
            "--talk-share: '80%' is not allowed; allowed: a number",
        ),
        (("--people", "en=1", "--turn-s", "0"), "--turn-s: '0' is not allowed"),
        (("--agents", "1.5"), "--agents: '1.5' is not allowed; allowed: a whole number from 0"),
        (("--agents", "inf"), "--agents: 'inf' is not allowed"),
    ],
)
def test_a_mistake_is_one_line_and_status_two(
    words: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["estimate", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"parley: {named}")
    assert err.count("\n") == 1


def test_a_price_file_that_is_not_there_is_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_PRICES__FILE", "/nowhere/prices.json")
    assert cli.main(SIX) == 2
    assert capsys.readouterr().err.startswith("parley: PARLEY_PRICES__FILE: '/nowhere/prices.json'")


def test_a_transcript_of_everybodys_own_words_is_part_of_the_price(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("estimate", "--people", "en=3")
    parley, _, _ = as_json(capsys, *words)["modes"]
    assert (parley["sessions"], parley["usd"]) == (0, 0)
    monkeypatch.setenv("PARLEY_EXPORT__OWN_WORDS", "all")
    parley, always, captions = as_json(capsys, *words)["modes"]
    assert parley["sessions"] == always["sessions"] == 3
    assert parley["usd"] == captions["usd"] > 0

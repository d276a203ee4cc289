"""What the README tells a newcomer to type works: its commands, its snippets, its table of settings."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from parley import cli, config

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_the_two_commands_install_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first, second = (block.strip() for block in blocks("sh")[:2])
    assert first == 'pip install -e ".[demo]" && parley demo'
    assert second == 'pip install -e ".[test]" && pytest'
    assert {"demo", "test"} <= set(project["optional-dependencies"])
    assert project["scripts"] == {"parley": "parley.cli:main"}


def test_every_parley_command_of_the_readme_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    written = {" ".join(words) for words in re.findall(r"`(parley) ([a-z]+)[^`]*`", README)}
    written |= {
        line.strip() for block in blocks("sh") for line in block.splitlines() if line.startswith("parley")
    }
    assert {"parley demo", "parley start", "parley simulator"} <= written
    for command in sorted(written):
        with pytest.raises(SystemExit) as ended:
            cli.main([*shlex.split(command)[1:], "--help"])
        assert ended.value.code == 0, command
    capsys.readouterr()


def test_the_exported_settings_start_a_worker_as_far_as_they_are_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    export = next(line for block in blocks("sh") for line in block.splitlines() if line.startswith("export"))
    for word in shlex.split(export)[1:]:
        name, _, value = word.partition("=")
        monkeypatch.setenv(name, value)
    settings = config.load()
    assert settings.livekit_url == "wss://livekit.example.com"


def test_the_table_names_every_setting() -> None:
    table = README[README.index("### Settings") : README.index("### Probes")]
    shown = set(re.findall(r"`((?:PARLEY|LIVEKIT|OPENAI)_[A-Z_]+)`", table))
    for group, key in re.findall(r"`PARLEY_([A-Z]+)__[A-Z_]+`[^|]*?`…__([A-Z_]+)`", table):
        shown.add(f"PARLEY_{group}__{key}")
    for row in table.splitlines():
        group = re.search(r"`PARLEY_([A-Z]+)__", row)
        if group is not None:
            shown |= {f"PARLEY_{group[1]}__{key}" for key in re.findall(r"`…__([A-Z_]+)`", row)}
    assert shown == set(config._known())


@pytest.mark.parametrize("snippet", blocks("python"), ids=lambda text: text.split("\n", 1)[0])
def test_the_snippets_run(snippet: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", snippet], check=True, timeout=60)

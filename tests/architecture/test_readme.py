"""What the README tells a newcomer to type works: its commands, its snippets, its table of settings."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from parley import agents, cli, config
from parley.agents import AgentOptions, Caller
from parley.core.accounts import Accounts
from parley.core.summary import Record

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_the_first_commands_install_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    first, second, third = (block.strip() for block in blocks("sh")[:3])
    assert first == 'pip install -e ".[demo]" && parley demo'
    assert second == 'pip install -e ".[test]" && pytest'
    assert third == "parley demo --agent"
    assert {"demo", "test"} <= set(project["optional-dependencies"])
    assert project["scripts"] == {"parley": "parley.cli:main"}


def test_every_parley_command_of_the_readme_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    written = {" ".join(words) for words in re.findall(r"`(parley) ([a-z]+)[^`]*`", README)}
    written |= {
        line.strip() for block in blocks("sh") for line in block.splitlines() if line.startswith("parley")
    }
    assert {"parley demo", "parley start", "parley simulator", "parley estimate"} <= written
    for command in sorted(written):
        with pytest.raises(SystemExit) as ended:
            cli.main([*shlex.split(command)[1:], "--help"])
        assert ended.value.code == 0, command
    capsys.readouterr()


def test_the_estimate_of_the_readme_is_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    (command, shown) = re.findall(
        r"^```sh\n(parley estimate .*)\n```\n\n```\n(.*?)^```$", README, re.M | re.S
    )[0]
    assert cli.main(shlex.split(command)[1:]) == 0
    assert capsys.readouterr().out == shown


def test_the_keys_of_the_summary_are_those_of_the_readme() -> None:
    section = README[README.index("### What a room leaves behind") : README.index("### Your own LiveKit")]
    keys = {key for row in section.splitlines() if row.startswith("| `") for key in _names(row.split("|")[1])}
    summary = Record("room", Accounts(), 0.0).summary(0.0)
    assert keys == set(summary) | {"parley", "began_at", "ended_at"}
    for key in ("people", "events", "cost", "estimate"):
        row = next(row for row in section.splitlines() if row.startswith(f"| `{key}`"))
        assert set(summary[key]) <= _names(row)


def _names(text: str) -> set[str]:
    return set(re.findall(r"`([a-z0-9_]+)`", text))


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
    shown = []
    for row in table.splitlines():
        names = re.findall(r"`((?:PARLEY|LIVEKIT|OPENAI)_[A-Z_]+|…__[A-Z_]+)`", row.partition(" | ")[0])
        group = names[0].partition("__")[0] if names else ""
        shown += [name.replace("…", group) for name in names]
    assert sorted(shown) == sorted(config._known())


def test_the_table_names_every_option_of_an_agent_with_its_default() -> None:
    table = README[README.index("| option |") : README.index("All of the plugin's `ConversationOptions`")]
    shown = {}
    for row in table.splitlines()[2:]:
        if row.startswith("|"):
            options, defaults = (cell.strip().split(", ") for cell in row.split("|")[1:3])
            shown |= dict(zip(options, defaults, strict=len(options) > 1))
    stands_for = {"none": None, "`True`": True}
    for name, field in AgentOptions.model_fields.items():
        said = shown.pop(f"`{name}`")
        if name == "backchannels":
            assert said == "en"
        elif said in stands_for:
            assert field.default is stands_for[said], name
        else:
            assert (
                said == f"`{field.default:g}`" if isinstance(field.default, float) else f"`{field.default}`"
            )
    assert shown == {}


def test_the_agent_of_the_readme_is_loaded_as_it_stands(tmp_path: Path) -> None:
    (snippet,) = [block for block in blocks("python") if "agents.register" in block]
    assert len(snippet.splitlines()) <= 20
    module = tmp_path / "my_agents.py"
    module.write_text(snippet, encoding="utf-8")
    with agents.fresh():
        try:
            agents.load(str(module))
            assert agents.names() == ("assistant", "support")
            made = agents.get("support").make(Caller("ann"))
        finally:
            sys.modules.pop("my_agents", None)
            sys.path.remove(str(tmp_path))
    assert [tool.info.name for tool in made.tools] == ["order_status"]  # type: ignore[union-attr]


def test_every_event_of_the_room_is_named() -> None:
    told = set()
    for path in (ROOT / "agent/parley").rglob("*.py"):
        if path.parent.name in ("room", "voice", "bridges", "export", "parley"):
            told |= set(
                re.findall(
                    r'"((?:session|audio|agent|tool|worker|preference|export)\.[a-z]+)"', path.read_text()
                )
            )
    assert {"agent.ended", "tool.failed", "session.failed", "export.failed"} <= told
    assert {f"`{event}`" for event in told} <= set(re.findall(r"`[a-z.]+`", README))


@pytest.mark.parametrize("snippet", blocks("python"), ids=lambda text: text.split("\n", 1)[0])
def test_the_snippets_run(snippet: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", snippet], check=True, timeout=60)

"""Modules that register agents: the README's example, what is loaded twice, what cannot be loaded."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley import agents
from parley.agents import Caller
from parley.config import VoiceAgent
from parley.errors import AgentModuleError, AgentOptionError

EXAMPLE = '''\
from livekit.agents import Agent, function_tool
from parley import agents


class Support(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are the support line of Acme. Be brief.")

    @function_tool
    async def order_status(self, number: str) -> str:
        """Look up an order."""
        return f"Order {number} leaves tomorrow."


agents.register("support", Support, voice="marin", reasoning_effort="low",
                greeting="Greet the caller and ask for the order number.")
'''


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of one's own to be in, and nothing of it left in the interpreter."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    with agents.fresh():
        yield tmp_path
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]
    sys.path_importer_cache.pop(str(tmp_path), None)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("source", ["my_agents", "my_agents.py", "./my_agents.py"])
async def test_the_twenty_line_example_is_an_agent(here: Path, source: str) -> None:
    write(here / "my_agents.py", EXAMPLE)
    assert len(EXAMPLE.splitlines()) <= 20
    agents.load(source)
    assert agents.names() == ("assistant", "support")
    support = agents.get("support")
    agent = support.make(Caller("ana"))
    assert agent.instructions == "You are the support line of Acme. Be brief."
    assert [tool.info.name for tool in agent.tools] == ["order_status"]  # type: ignore[union-attr]
    assert await agent.tools[0](number="7") == "Order 7 leaves tomorrow."  # type: ignore[operator]
    assert support.options.greeting == "Greet the caller and ask for the order number."
    session = support.conversation(VoiceAgent())
    assert (session.voice, session.reasoning_effort) == ("marin", "low")


def test_what_was_loaded_is_not_loaded_again(here: Path) -> None:
    """A job is forked from a process that has loaded its agents, and loads them again."""
    path = write(here / "my_agents.py", EXAMPLE)
    for source in ("my_agents.py", "./my_agents.py", str(path), "my_agents"):
        agents.load(source)
    agents.load_all(["my_agents", str(path)])
    assert agents.names() == ("assistant", "support")


def test_a_file_is_found_from_anywhere_with_what_lies_beside_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(here / "desk" / "helpers.py", "VOICE = 'ash'\n")
    path = write(
        here / "desk" / "front.py",
        "import helpers\nfrom parley import agents\n" + EXAMPLE.replace('"marin"', "helpers.VOICE"),
    )
    monkeypatch.chdir("/")
    agents.load(str(path))
    assert agents.get("support").conversation(VoiceAgent()).voice == "ash"


def test_two_files_of_one_name_are_two_modules(here: Path) -> None:
    agents.load(str(write(here / "a" / "desk.py", EXAMPLE)))
    agents.load(str(write(here / "b" / "desk.py", EXAMPLE.replace('"support"', '"sales"'))))
    agents.load(str(write(here / "json.py", EXAMPLE.replace('"support"', '"json"'))))
    agents.load_all(["a/desk.py", "b/desk.py", "json.py"])
    assert agents.names() == ("assistant", "support", "sales", "json")
    assert not hasattr(sys.modules["json"], "Support")


@pytest.mark.parametrize("name", ["desk", "desk.py"])
@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("x = 1\nimport nowhere_at_all\n", 2, "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("def f():\n    raise RuntimeError('a\\nb')\n\nf()\n", 2, "RuntimeError: a b"),
        ("import json\n\njson.loads('')\n", 3, "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        ("raise ValueError\n", 1, "ValueError"),
        ("x = 1\ndef f(:\n", 2, "SyntaxError: invalid syntax"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("x = 1\n", None, "it registers no agent with parley.agents.register"),
        (
            EXAMPLE.replace("voice", "voise"),
            15,
            "agent 'support': there is no option voise; the nearest one is voice",
        ),
        (
            EXAMPLE.replace('"support"', '"assistant"'),
            15,
            "agent 'assistant': name: 'assistant' is not allowed; allowed: a name that no other agent has",
        ),
    ],
)
def test_what_goes_wrong_is_one_line_with_its_place(
    here: Path, name: str, text: str, line: int | None, problem: str
) -> None:
    write(here / "desk.py", text)
    with pytest.raises(AgentModuleError) as caught:
        agents.load(name)
    error = caught.value
    assert (error.module, error.line, error.problem) == (name, line, problem)
    where = "" if line is None else f", line {line}"
    assert str(error) == f"agents from {name}{where}: {problem}"
    assert "\n" not in str(error)
    assert agents.names() == ("assistant",)
    assert "desk" not in sys.modules or text == "x = 1\n"


def test_a_mistake_in_a_module_beside_it_is_told_with_both_places(here: Path) -> None:
    broken = write(here / "helpers.py", "\n\ndef f(:\n")
    write(here / "desk.py", "import helpers\n")
    with pytest.raises(AgentModuleError) as caught:
        agents.load("desk.py")
    assert caught.value.line == 1
    assert caught.value.problem == f"SyntaxError: invalid syntax ({broken}, line 3)"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nowhere.py", "there is no such file"),
        ("desk/", "there is no such file"),
        ("nowhere", "there is no such module"),
        ("nowhere.agents", "there is no such module"),
        ("parley.nowhere", "there is no such module"),
        ("my-agents", "that is no module"),
        ("my agents", "that is no module"),
        ("", "that is no module"),
        (".agents", "that is no module"),
    ],
)
def test_what_is_not_there_is_told_with_what_is_needed(source: str, problem: str) -> None:
    with pytest.raises(AgentModuleError) as caught:
        agents.load(source)
    needed = "needed: a dotted module name such as my_company.agents, or the path of a .py file"
    assert (caught.value.line, caught.value.problem) == (None, f"{problem}; {needed}")


def test_nothing_stays_of_a_module_that_fails_half_way_and_it_can_be_mended(here: Path) -> None:
    write(here / "desk.py", EXAMPLE + "\n1 / 0\n")
    with pytest.raises(AgentModuleError, match="line 18: ZeroDivisionError: division by zero"):
        agents.load("desk.py")
    assert agents.names() == ("assistant",)
    write(here / "desk.py", EXAMPLE)
    agents.load("desk.py")
    assert agents.names() == ("assistant", "support")


def test_the_cause_is_kept_for_those_who_can_use_it(here: Path) -> None:
    write(here / "desk.py", EXAMPLE.replace('voice="marin"', "speed=9"))
    with pytest.raises(AgentModuleError) as caught:
        agents.load("desk.py")
    assert isinstance(caught.value.__cause__, AgentOptionError)

"""Files: their size, their words, and what they offer."""

import ast
import importlib
import inspect
from functools import cache

import pytest

from architecture.tree import ROOT, SOURCES, Module

MOST_LINES = 450
SKIPPED = {".git", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", "dist", "build"}
BINARY = {".png", ".wav", ".ico", ".gz", ".zip", ".pyc", ".so"}


@cache
def texts() -> dict[str, str]:
    """Every text file of the project, whether or not it is committed: path → text."""
    found: dict[str, str] = {}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if any(p in SKIPPED or p.endswith(".egg-info") or p.startswith("parley-demo") for p in parts):
            continue
        if path.is_file() and path.suffix not in BINARY:
            found[path.relative_to(ROOT).as_posix()] = path.read_text(errors="replace")
    return found


# Put together from parts, so that this file is not what it looks for.
PLACES = ["/" + "work/", "/" + "root/"]
HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("static", "crates", "io"),
        ("deb", "debian", "org"),
    )
]


@pytest.mark.parametrize("word", [*PLACES, *HOSTS])
def test_no_file_names_a_place_of_one_machine_or_a_package_registry(word: str) -> None:
    assert [where for where, text in texts().items() if word in text] == []


@pytest.mark.parametrize("module", SOURCES, ids=lambda m: m.name)
def test_a_file_fits_in_a_head(module: Module) -> None:
    assert len(module.text.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("module", SOURCES, ids=lambda m: m.name)
def test_a_module_says_what_it_is(module: Module) -> None:
    if not module.text.strip():
        return
    doc = ast.get_docstring(module.tree)
    assert doc or module.path.name in ("version.py", "log.py"), f"{module.where} has no docstring"


@pytest.mark.parametrize("module", [m for m in SOURCES if "__all__" in m.text], ids=lambda m: m.name)
def test_what_is_offered_is_there(module: Module) -> None:
    loaded = importlib.import_module(module.name)
    offered = loaded.__all__
    assert len(set(offered)) == len(offered)
    assert [name for name in offered if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("package", ["parley.simulator", "parley.testing", "livekit.plugins.openai_realtime"])
def test_public_packages_say_what_they_offer_and_document_it(package: str) -> None:
    loaded = importlib.import_module(package)
    for name in loaded.__all__:
        value = getattr(loaded, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert value.__doc__, f"{package}.{name} has no docstring"


def test_both_packages_are_typed() -> None:
    assert (ROOT / "agent/parley/py.typed").exists()
    assert (ROOT / "plugins/livekit/plugins/openai_realtime/py.typed").exists()


def test_one_version() -> None:
    import parley

    assert parley.__all__ == ["__version__"]
    assert len(parley.__version__.split(".")) == 3

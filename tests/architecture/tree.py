"""The source tree as the tests of its architecture see it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLUGIN = "livekit.plugins.openai_realtime"


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path
    name: str

    @property
    def where(self) -> str:
        """Its path from the root of the project."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def part(self) -> str:
        """The package or module directly below `parley`; the plugin's is its whole name."""
        if self.name.startswith(PLUGIN):
            return PLUGIN
        return ([*self.name.split("."), ""])[1]

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.path)

    @property
    def imports(self) -> Iterator[str]:
        """The full names of everything it imports, wherever in the file: modules, and names in them."""
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*parents, base] if base else parents)
                yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _modules(folder: Path, prefix: str) -> list[Module]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        names = [prefix, *(part for part in parts if part != "__init__")]
        found.append(Module(path, ".".join(names)))
    return found


PARLEY = _modules(ROOT / "agent" / "parley", "parley")
PLUGINS = _modules(ROOT / "plugins" / "livekit" / "plugins" / "openai_realtime", PLUGIN)
SOURCES = [*PARLEY, *PLUGINS]


def is_in(name: str, package: str) -> bool:
    """Whether an imported name is `package` or below it."""
    return name == package or name.startswith(package + ".")

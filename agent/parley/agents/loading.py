"""Loading the modules that register voice agents."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from parley.errors import AgentError, AgentModuleError

KINDS = "a dotted module name such as my_company.agents, or the path of a .py file"
MOST_SHOWN = 300
"""Characters of a foreign error's message that are repeated."""


def is_file(source: str) -> bool:
    """Whether `source` is meant as a path rather than as a module's name."""
    return source.endswith(".py") or "/" in source


def key_of(source: str) -> str:
    """One text for the ways to name one source: absolute for a file."""
    return str(Path(source).resolve()) if is_file(source) else source


def is_imported(source: str) -> bool:
    """Whether the module is there already: it will not run again."""
    if not is_file(source):
        return source in sys.modules
    known = sys.modules.get(Path(source).stem)
    return known is not None and getattr(known, "__file__", None) == str(Path(source).resolve())


def run(source: str) -> None:
    """Imports a module, or runs a file as one. Raises AgentModuleError, with its cause."""
    if is_file(source):
        path = Path(source).resolve()
        if path.suffix != ".py" or not path.is_file():
            raise AgentModuleError(source, None, f"there is no such file; needed: {KINDS}")
        _importable(path.parent)
        name = _free_name(path)
        _guarded(source, name, lambda: _run_file(path, name))
        return
    if not all(part.isidentifier() for part in source.split(".")):
        raise AgentModuleError(source, None, f"that is no module; needed: {KINDS}")
    _importable(Path.cwd())
    _guarded(source, source, lambda: importlib.import_module(source))


def _guarded(source: str, name: str, act: Callable[[], object]) -> None:
    """The bulkhead around a user's module: whatever it raises becomes one line that names the place."""
    try:
        act()
    except AgentError as e:
        raise AgentModuleError(source, _line(e, name), str(e)) from e
    except (Exception, SystemExit) as e:
        line = _line(e, name)
        if isinstance(e, ModuleNotFoundError) and line is None and _is_part_of(e.name, source):
            raise AgentModuleError(source, None, f"there is no such module; needed: {KINDS}") from e
        if isinstance(e, SyntaxError):
            where = f" ({e.filename}, line {e.lineno})" if line is not None else ""
            raise AgentModuleError(source, line or e.lineno, f"SyntaxError: {e.msg}{where}") from e
        message = " ".join(str(e).split())[:MOST_SHOWN]
        raise AgentModuleError(source, line, type(e).__name__ + (f": {message}" if message else "")) from e


def _is_part_of(name: str | None, source: str) -> bool:
    return name is not None and (source == name or source.startswith(name + "."))


def _line(error: BaseException, name: str) -> int | None:
    """The line of the module at which it went wrong, whoever it had called there."""
    walk = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in walk if frame.f_globals.get("__name__") == name]
    return lines[-1] if lines else None


def _importable(directory: Path) -> None:
    """Lets modules beside the agents be imported. Last in the list: it hides nothing that is installed."""
    if str(directory) not in sys.path:
        sys.path.append(str(directory))


def _free_name(path: Path) -> str:
    """The module's name for a file: its stem, or a name of its own where that is taken by another."""
    taken = path.stem in sys.modules and not is_imported(str(path))
    return f"agents from {path}" if taken else path.stem


def _run_file(path: Path, name: str) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module

"""Imports point one way: worker → room → bridges → media → core; the plugin and the simulator stand alone."""

import ast

import pytest

from architecture.tree import PARLEY, PLUGIN, PLUGINS, ROOT, SOURCES, Module, is_in

BELOW_ROOM = {"access", "core", "media", "bridges", "ports", "metrics"}
MAY_IMPORT = {
    "core": {"core"},
    "access": {"core", PLUGIN},
    "errors": set(),
    "logs": {PLUGIN},
    "image": set(),
    "metrics": {"core"},
    "ports": {"core", PLUGIN},
    "media": {"core", "media"},
    "bridges": {*BELOW_ROOM, PLUGIN},
    "agents": {"agents", "config", "core", "errors", PLUGIN},
    "voice": {"access", "agents", "config", "core", "media", "metrics", "ports", "voice", PLUGIN},
    "export": {"core", "errors", "export", "metrics", "ports"},
    "estimate": {"config", "core", "errors"},
    "room": {*BELOW_ROOM, "agents", "config", "errors", "export", "room", "state", "voice", PLUGIN},
    "config": {"core", "errors", "validation"},
    "validation": {"errors"},
    "link": {"access", "metrics"},
    "state": {"errors"},
    "job": {"", "access", *BELOW_ROOM, "agents", "export", "room", "config", "link", "logs", "state", PLUGIN},
    "rescue": {"link", "room"},
    "worker": {
        *{"", "access", "agents", "config", "image", "job", "link", "logs", "metrics", "rescue", "room"},
        "state",
        PLUGIN,
    },
    "testing": {"core", "ports", PLUGIN},
    "simulator": {"simulator"},
    PLUGIN: {PLUGIN},
}
"""What each part may import of Parley and the plugin. `demo` and the command line may import everything."""

PURE = {
    "__future__",
    "bisect",
    "collections",
    "dataclasses",
    "enum",
    "functools",
    "itertools",
    "json",
    "math",
    "re",
    "typing",
    "unicodedata",
}
"""Of the standard library, what has no clock, no randomness and no way out of the process."""


def _part(imported: str) -> str | None:
    """Which part an imported name belongs to; None if it is not ours."""
    if is_in(imported, PLUGIN):
        return PLUGIN
    if imported == "parley" or imported.startswith("parley.__"):
        return ""
    return imported.split(".")[1] if is_in(imported, "parley") else None


@pytest.mark.parametrize("module", SOURCES, ids=lambda m: m.name)
def test_a_part_imports_only_what_it_may(module: Module) -> None:
    if module.part not in MAY_IMPORT:
        assert module.part in ("", "__main__", "cli", "demo"), (
            f"say in MAY_IMPORT what {module.part} may import"
        )
        return
    parts = {part for name in module.imports if (part := _part(name)) is not None}
    if module.part == "worker":
        parts |= {
            _part(name) for name in module.imports if name.startswith("parley.") and name.count(".") == 1
        }
    assert parts <= MAY_IMPORT[module.part]


def test_the_arrows_make_no_circle() -> None:
    """Parts in an order in which each imports only those before it, and itself."""
    left = {part: allowed - {part, ""} for part, allowed in MAY_IMPORT.items()}
    while left:
        free = [part for part, needs in left.items() if not needs & left.keys()]
        assert free, f"a circle among {sorted(left)}"
        for part in free:
            del left[part]


@pytest.mark.parametrize("module", [m for m in PARLEY if m.part == "core"], ids=lambda m: m.name)
def test_core_is_pure(module: Module) -> None:
    foreign = {name.split(".")[0] for name in module.imports} - {"parley"}
    assert foreign <= PURE


FORBIDDEN = {
    "media": (
        "asyncio",
        "threading",
        "time",
        "random",
        "os",
        "logging",
        "socket",
        "aiohttp",
        "livekit.rtc",
        "livekit.agents",
    ),
    "bridges": ("aiohttp", "socket", "os", "livekit.rtc", "livekit.agents", "livekit.api"),
    "simulator": ("livekit",),
    "ports": ("asyncio", "aiohttp", "livekit.rtc", "livekit.agents"),
    "testing": ("aiohttp", "livekit.rtc", "livekit.agents", "pytest"),
}


@pytest.mark.parametrize("module", [m for m in PARLEY if m.part in FORBIDDEN], ids=lambda m: m.name)
def test_what_a_layer_does_not_know(module: Module) -> None:
    for name in module.imports:
        for forbidden in FORBIDDEN[module.part]:
            assert not is_in(name, forbidden), f"{module.where} imports {name}"


def test_the_plugin_never_imports_parley() -> None:
    for module in PLUGINS:
        for name in module.imports:
            assert not is_in(name, "parley"), f"{module.where} imports {name}"


def test_one_file_of_the_plugin_knows_what_a_websocket_is() -> None:
    knows = {m.path.name for m in PLUGINS if any(is_in(name, "aiohttp") for name in m.imports)}
    assert knows <= {"connection.py", "models.py", "model_session.py"}
    opens = {m.path.name for m in PLUGINS if "ws_connect" in m.text}
    assert opens == {"connection.py"}


@pytest.mark.parametrize("name", ["_ffi_client", "_proto", "_ffi_handle", "FfiClient"])
def test_livekits_private_api_is_in_one_file(name: str) -> None:
    def mentions(module: Module) -> bool:
        return any(
            (isinstance(node, ast.Attribute) and node.attr == name)
            or (isinstance(node, ast.Name) and node.id == name)
            for node in ast.walk(module.tree)
        ) or any(name in imported.split(".") for imported in module.imports)

    assert {m.where for m in SOURCES if mentions(m)} == {"agent/parley/room/native.py"}


READS_ENVIRONMENT = {
    "agent/parley/config.py": "the settings",
    "agent/parley/link.py": "a job learns the socket of its main process, which no person sets",
    "agent/parley/state.py": "a job learns the directory of its main process, as it does the socket",
    "agent/parley/worker.py": "a switch of LiveKit's framework, set before its jobs are forked",
    "plugins/livekit/plugins/openai_realtime/models.py": "its defaults, as LiveKit's plugins have them",
}


def test_the_environment_is_read_where_it_is_said() -> None:
    reads = {m.where for m in SOURCES if m.part != "demo" and ("os.environ" in m.text or "getenv" in m.text)}
    assert reads == set(READS_ENVIRONMENT)


BARE_TASKS = {
    "agent/parley/worker.py": "two tasks that are raced and awaited in one function",
    "agent/parley/demo/command.py": "the screen, cancelled and awaited in its own function",
    "agent/parley/demo/livekit_binary.py": "a read of the compiler's output that is raced against its end",
    "plugins/livekit/plugins/openai_realtime/connection.py": "clean-up that is shielded from cancellation",
    "plugins/livekit/plugins/openai_realtime/model_session.py": "LiveKit's sessions end with aclose",
}
"""Files in which a task stands outside a TaskGroup, and why."""


def _bare(module: Module) -> bool:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value)
            if node.func.attr == "ensure_future" or (
                node.func.attr == "create_task" and (owner == "asyncio" or owner.endswith("loop"))
            ):
                return True
    return False


def test_tasks_live_in_groups_or_are_on_the_list() -> None:
    assert {m.where for m in SOURCES if _bare(m)} <= set(BARE_TASKS)


def test_nothing_is_on_the_list_that_is_not_there() -> None:
    assert [where for where in (*BARE_TASKS, *READS_ENVIRONMENT) if not (ROOT / where).exists()] == []


def test_exceptions_of_every_kind_are_caught_at_bulkheads_only() -> None:
    """`except Exception` stands around a bridge, and code of the user's: agents, their modules, redaction."""
    catches = set()
    for module in PARLEY:
        if module.part == "demo":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or ast.unparse(node.type) in ("Exception", "BaseException")
            ):
                reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                if not reraises:
                    catches.add(module.where)
    assert catches <= {
        "agent/parley/room/translations.py",
        "agent/parley/room/agents.py",
        "agent/parley/agents/loading.py",
        "agent/parley/export/redaction.py",
        "agent/parley/voice/tools.py",
        "agent/parley/voice/hooks.py",
        "agent/parley/voice/approval.py",
        "agent/parley/simulator/connection.py",
    }

"""Summary files: a name that any file system takes, and a file that is whole or not there."""

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from parley.export.files import NAME_CHARS, file_name, write

AT = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "room",
    [
        "standup",
        "a:b c/d\\e",
        "../../etc/passwd",
        "..",
        "",
        "😀 réunion 会議",
        "x" * 500,
        "con\0trol\n<>|?*",
        "-rf --",
        ".hidden",
    ],
)
def test_any_room_has_a_name_that_is_plain_short_and_its_own(room: str) -> None:
    name = file_name(room, AT)
    assert re.fullmatch(r"20261121T193005Z-([A-Za-z0-9-]+-)?[0-9a-f]{8}\.json", name)
    assert len(name) <= NAME_CHARS + 35
    assert name != file_name(room, AT)


def test_the_name_says_which_room_it_was() -> None:
    assert file_name("Team Sync: Q4", AT).startswith("20261121T193005Z-Team-Sync-Q4-")


def test_a_file_is_written_into_a_directory_that_is_made(tmp_path: Path) -> None:
    path = write(tmp_path / "a" / "b", "x.json", b"{}")
    assert path.read_bytes() == b"{}"
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_a_disk_that_is_full_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, "x.json", b"{}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="a directory of Linux's into which nobody can write")
def test_a_directory_that_cannot_be_written_to_is_an_error_of_the_system() -> None:
    with pytest.raises(OSError):  # noqa: PT011
        write(Path("/proc/nowhere"), "x.json", b"{}")

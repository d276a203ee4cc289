"""What jobs leave for those that replace them: private, whole, of one room, and not for long."""

import json
import os
import stat
import time
from pathlib import Path

import pytest

from parley import state
from parley.errors import SettingsError
from parley.state import VARIABLE, StateFile, TooLargeError, state_directory, sweep


@pytest.fixture
def one(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path, "RM_1", "parley-1")


@pytest.fixture
def two(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path, "RM_1", "parley-2")


def test_the_next_job_of_a_room_reads_what_the_last_one_wrote(one: StateFile, two: StateFile) -> None:
    assert two.read() is None
    one.write(lambda: {"usd": {"ann": 1.0}})
    one.write(lambda: {"usd": {"ann\ud800 :/é": 2.0}})
    left = two.read()
    assert left is not None
    assert (left["usd"], left["job"]) == ({"ann\ud800 :/é": 2.0}, "parley-1")
    assert one.read() is None, "nobody inherits from themselves"


def test_of_several_the_newest_is_read_and_the_others_go(
    tmp_path: Path, one: StateFile, two: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "time", lambda: 1_000.0)
    one.write(lambda: {"number": 1})
    monkeypatch.setattr(state, "time", lambda: 1_001.0)
    two.write(lambda: {"number": 2})
    third = StateFile(tmp_path, "RM_1", "parley-3")
    left = third.read()
    assert left is not None
    assert left["number"] == 2
    third.write(lambda: {"number": 3})
    third.delete_others()
    assert len(list(tmp_path.iterdir())) == 1
    third.delete()
    third.delete()
    assert not list(tmp_path.iterdir())


def test_a_later_room_of_the_same_name_gets_nothing(tmp_path: Path, one: StateFile) -> None:
    one.write(lambda: {"usd": {}})
    later = StateFile(tmp_path, "RM_2", "parley-2")
    assert later.read() is None
    later.delete_others()
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_old_or_broken_or_of_another_room_is_not_read(
    tmp_path: Path, one: StateFile, two: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.write(lambda: {})
    (path,) = tmp_path.iterdir()
    whole = json.loads(path.read_text())
    for wrong in ({"format": 2}, {"room": "RM_2"}, {"job": 1}, {"saved_at": "now"}):
        path.write_text(json.dumps(whole | wrong))
        assert two.read() is None, wrong
    for text in ("", "[", "[" * 100_000, "null", "\udcff"):
        path.write_bytes(text.encode(errors="surrogateescape"))
        assert two.read() is None
    path.write_text(json.dumps(whole))
    assert two.read() is not None
    now = time.time()
    monkeypatch.setattr(state, "time", lambda: now + state.KEPT_S + 60)
    assert two.read() is None


def test_only_this_user_can_read_it(one: StateFile, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with state_directory(str(tmp_path / "new" / "place"), tmp_path) as directory:
            file = StateFile.of("RM_1", "parley-1")
            assert file is not None
            file.write(lambda: {})
            (path,) = directory.iterdir()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            assert "RM_1" not in path.name
    finally:
        os.umask(before)
    assert VARIABLE not in os.environ
    assert StateFile.of("RM_1", "parley-1") is None


def test_a_directory_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "parley-rooms").mkdir(mode=0o777)
    with state_directory("", tmp_path) as directory:
        assert directory.parent == tmp_path
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "parley-rooms").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(SettingsError, match="PARLEY_STATE_DIR"), state_directory(str(tmp_path), tmp_path):
        raise AssertionError("it may not be used")


def test_where_no_directory_can_be_the_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(SettingsError, match="PARLEY_STATE_DIR"),
        state_directory(str(tmp_path / "file"), tmp_path),
    ):
        raise AssertionError("it may not be used")


def test_what_is_too_large_gives_way_to_less(
    one: StateFile, two: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "MOST_BYTES", 200)
    assert one.write(lambda: {"all": "x" * 300}, lambda: {"less": 1}) == 1
    assert (two.read() or {})["less"] == 1
    with pytest.raises(TooLargeError):
        one.write(lambda: {"all": "x" * 300})
    assert (two.read() or {})["less"] == 1, "what was there stays"


def test_a_write_that_fails_leaves_what_was_there(
    one: StateFile, two: StateFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one.write(lambda: {"number": 1})
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        one.write(lambda: {"number": 2})
    assert (two.read() or {})["number"] == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_what_nobody_writes_any_more_is_swept(one: StateFile, two: StateFile, tmp_path: Path) -> None:
    one.write(lambda: {})
    (old,) = tmp_path.iterdir()
    (tmp_path / "dead.part").touch()
    two.write(lambda: {})
    long_ago = time.time() - state.KEPT_S - 1
    for path in (old, tmp_path / "dead.part"):
        os.utime(path, (long_ago, long_ago))
    (tmp_path / "directory").mkdir()
    os.utime(tmp_path / "directory", (long_ago, long_ago))
    assert sweep(tmp_path) == 2
    assert one.read() is not None, "the young one stays"

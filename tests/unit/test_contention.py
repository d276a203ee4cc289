"""What excuses a run that a busy machine spoilt: only what others took."""

from pathlib import Path

import pytest

from e2e.contention import Contention, Group, group, held


def _file(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_group_of_version_two_is_read_where_it_is_and_at_the_root_of_a_container(tmp_path: Path) -> None:
    own = _file(tmp_path / "own", "0::/jobs/one\n")
    stat = "usage_usec 2500000\nnr_throttled 3\nthrottled_usec 750000\n"
    _file(tmp_path / "cg/cpu.stat", stat)
    assert group(tmp_path / "cg", own) == Group(2.5, 0.75)
    _file(tmp_path / "cg/jobs/one/cpu.stat", "usage_usec 1000000\n")
    assert group(tmp_path / "cg", own) == Group(1.0, 0.0)


def test_a_group_of_version_one_is_read(tmp_path: Path) -> None:
    own = _file(tmp_path / "own", "5:devices:/\n4:cpu,cpuacct:/job\n1:name=systemd:/\n")
    place = tmp_path / "cg/cpu,cpuacct/job"
    _file(place / "cpu.stat", "nr_periods 9\nnr_throttled 2\nthrottled_time 400000000\n")
    _file(place / "cpuacct.usage", "3000000000\n")
    assert group(tmp_path / "cg", own) == Group(3.0, 0.4)


def test_version_one_may_count_the_use_in_another_place(tmp_path: Path) -> None:
    own = _file(tmp_path / "own", "2:cpuacct:/\n1:cpu:/\n")
    _file(tmp_path / "cg/cpu/cpu.stat", "nr_periods 9\nnr_throttled 2\nthrottled_time 400000000\n")
    _file(tmp_path / "cg/cpuacct/cpuacct.usage", "3000000000\n")
    assert group(tmp_path / "cg", own) == Group(3.0, 0.4)


def test_without_groups_nothing_is_seen(tmp_path: Path) -> None:
    assert group(tmp_path, tmp_path / "none") == Group()
    assert group(tmp_path, _file(tmp_path / "own", "0::/\n")) == Group()


@pytest.mark.parametrize(
    ("used_s", "throttled_s", "own_s", "excused"),
    [
        (20.0, 2.0, 12.0, True),
        (20.0, 0.3, 12.0, False),  # hardly held
        (20.0, 2.0, 19.0, False),  # by what the test itself took
    ],
)
def test_a_spent_quota_excuses_only_what_others_spent_of_it(
    used_s: float, throttled_s: float, own_s: float, excused: bool
) -> None:
    before = Group(100.0, 7.0)
    after = Group(100.0 + used_s, 7.0 + throttled_s)
    assert bool(held(before, after, own_s, wall_s=10.0)) is excused


def test_what_the_test_takes_itself_excuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, own, stolen, at = 0.0, 0.0, 0.0, 0.0
    monkeypatch.setattr("e2e.contention._busy_s", lambda: busy)
    monkeypatch.setattr("e2e.contention._own_s", lambda: own)
    monkeypatch.setattr("e2e.contention._stolen_s", lambda: stolen)
    monkeypatch.setattr("e2e.contention.group", Group)
    monkeypatch.setattr("e2e.contention.time.monotonic", lambda: at)
    monkeypatch.setattr("e2e.contention.os.cpu_count", lambda: 2)
    contention = Contention()
    busy, own, at = 20.0, 20.0, 10.0
    assert contention.reasons == []
    busy, own = 20.0, 15.0
    assert contention.reasons == ["other processes took 25% of the machine"]
    busy, own, stolen = 20.0, 18.0, 2.0
    assert contention.reasons == ["other machines took 10% of this one"]

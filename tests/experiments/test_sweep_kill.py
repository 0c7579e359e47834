"""Sweeps that are killed: workers, driver, Ctrl-C and full disks; the tables are those of an undisturbed sweep."""

from __future__ import annotations

import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from simulator.contracts.runner import Point
from simulator.core.errors import ModelFault
from simulator.experiments.sweep import sweep
from simulator.experiments.sweeps import local_runner
from simulator.experiments.sweeps.addresses import PointAddresses
from simulator.experiments.sweeps.definition import load_sweep
from simulator.experiments.sweeps.evaluation import InProcessRunner
from simulator.experiments.sweeps.local_runner import LocalRunner
from simulator.experiments.sweeps.points import plan_sweep
from tests.experiments.sweep_files import alive, children, kill, recorded, start, tables, write_sweep_file

SMALL = "axes:\n  workload.context: {range: [1, 150, 1]}\n  system.n_devices: [0, 8]\n"
LARGE = "axes:\n  workload.context: {range: [1, 1500, 1]}\n  system.n_devices: [0, 8]\n"


def finished(process: subprocess.Popen[str], code: int = 0) -> None:
    out, err = process.communicate(timeout=250)
    assert process.returncode == code, out + err


def wait_until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def killed_at_random(file: Path, out: Path, rng: random.Random, n_kills: int) -> None:
    """Kill the driver or one of its workers, `n_kills` times; what was recorded never changes."""
    state = out.with_name(out.name + ".state")
    before: dict[str, float] = {}
    n_done = 0
    while n_done < n_kills:
        process = start(file, "--out", out, "--no-report", "--workers", "2", cwd=file.parent)
        wait_until(lambda process=process: len(children(process.pid)) >= 2 or process.poll() is not None)
        while process.poll() is None and n_done < n_kills:
            time.sleep(rng.uniform(0.0, 1.5))
            workers = children(process.pid)
            n_done += 1
            if workers and rng.random() < 0.5:
                kill(rng.choice(workers))
                continue
            process.send_signal(rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM)))
            process.communicate(timeout=60)
            wait_until(lambda workers=workers: not any(map(alive, workers)))
        process.kill()
        process.communicate(timeout=60)
        now = recorded(state)
        assert before.items() <= now.items()
        before = now
    finished(start(file, "--out", out, "--no-report", "--workers", "2", cwd=file.parent))
    assert before.items() <= recorded(state).items()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A sweep file, and the tables of it that nothing disturbed."""
    folder = tmp_path_factory.mktemp("small")
    file = write_sweep_file(folder, SMALL)
    sweep(file, out=folder / "whole", runner=InProcessRunner, report=False)
    return file, tables(folder / "whole")


def test_kills_leave_no_trace_in_the_tables(small: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    file, whole = small
    killed_at_random(file, tmp_path / "killed", random.Random(1), 4)
    assert tables(tmp_path / "killed") == whole


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_twenty_kills_leave_no_trace_in_the_tables(tmp_path: Path) -> None:
    file = write_sweep_file(tmp_path, LARGE)
    killed_at_random(file, tmp_path / "killed", random.Random(2), 20)
    finished(start(file, "--out", tmp_path / "whole", "--workers", "2", "--no-report", cwd=tmp_path))
    assert tables(tmp_path / "killed") == tables(tmp_path / "whole")


def test_ctrl_c_ends_with_130_and_keeps_what_was_done(tmp_path: Path) -> None:
    file, state = write_sweep_file(tmp_path, LARGE), tmp_path / "out.state"
    process = start(file, "--out", tmp_path / "out", "--workers", "1", cwd=tmp_path)
    wait_until(lambda: (state / "results.sqlite-wal").exists() and len(children(process.pid)) == 1)
    wait_until(lambda: (state / "results.sqlite-wal").stat().st_size > 200_000)
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    assert not (tmp_path / "out").exists()
    assert recorded(state)
    wait_until(lambda: not any(map(alive, workers)), 10)


def test_a_full_disk_ends_with_an_error_and_the_rest_follows(
    small: tuple[Path, dict[str, bytes]], tmp_path: Path
) -> None:
    file, whole = small
    # No file may grow beyond the limit: the store's ends in the middle of a transaction.
    process = start(file, "--out", tmp_path / "full", "--no-report", "--workers", "1", cwd=tmp_path)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (60_000, 60_000))
    out, err = process.communicate(timeout=120)
    assert process.returncode == 2, out + err
    assert "results cannot be recorded" in err
    assert "Traceback" not in err
    assert not (tmp_path / "full").exists()
    before = recorded(tmp_path / "full.state")
    finished(start(file, "--out", tmp_path / "full", "--no-report", "--workers", "1", cwd=tmp_path))
    assert before.items() <= recorded(tmp_path / "full.state").items()
    assert tables(tmp_path / "full") == whole


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_a_full_file_system(small: tuple[Path, dict[str, bytes]], tmp_path: Path) -> None:
    file, whole = small
    place = tmp_path / "place"
    place.mkdir()
    if subprocess.run(("mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)), check=False).returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        finished(start(file, "--out", place / "out", "--no-report", "--workers", "1", cwd=tmp_path), code=2)
        before = recorded(place / "out.state")
        subprocess.run(("mount", "-o", "remount,size=20m", str(place)), check=True)
        finished(start(file, "--out", place / "out", "--no-report", "--workers", "1", cwd=tmp_path))
        assert before.items() <= recorded(place / "out.state").items()
        assert tables(place / "out") == whole
    finally:
        subprocess.run(("umount", str(place)), check=True)


def points_of(tmp_path: Path) -> tuple[LocalRunner, list[Point]]:
    plan, space = plan_sweep(load_sweep(write_sweep_file(tmp_path, SMALL)))
    return LocalRunner(plan, 2), list(PointAddresses(plan).points(space))[:40]


def test_every_point_has_one_outcome_though_workers_die(tmp_path: Path) -> None:
    runner, points = points_of(tmp_path)
    outcomes = []
    try:
        for number, batch in enumerate(runner.submit(points)):
            outcomes.extend(batch)
            if number < 3:
                kill(runner._workers[number % 2].process.pid)
    finally:
        runner.close()
    assert sorted(one.key for one in outcomes) == sorted(point.key for point in points)
    assert not any("died" in one.payload for one in outcomes)


def test_a_point_that_ends_its_worker_fails_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, points = points_of(tmp_path)
    deadly = points[7].ordinal
    body = (
        "import os, sys\n"
        "from simulator.experiments.sweeps import evaluation, worker\n"
        "run = evaluation.PointEvaluator.outcome\n"
        "evaluation.PointEvaluator.outcome = "
        f"lambda self, point: os._exit(9) if point.ordinal == {deadly} else run(self, point)\n"
        "worker.main(sys.argv[1:])\n"
    )
    script = tmp_path / "deadly.py"
    script.write_text(body)
    popen = subprocess.Popen

    def started(command: tuple[str, ...], **options: object) -> object:
        return popen((command[0], str(script), *command[3:]), **options)

    monkeypatch.setattr(local_runner.subprocess, "Popen", started)
    try:
        outcomes = [one for batch in runner.submit(points) for one in batch]
    finally:
        runner.close()
    assert sorted(one.key for one in outcomes) == sorted(point.key for point in points)
    assert [one.key for one in outcomes if "died 4 times" in one.payload] == [points[7].key]


def test_workers_that_never_start_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner, points = points_of(tmp_path)
    popen = subprocess.Popen
    monkeypatch.setattr(
        local_runner.subprocess, "Popen", lambda command, **options: popen((command[0], "-c", "raise SystemExit(3)"))
    )
    with pytest.raises(ModelFault, match=r"exit code (3|-9)"):
        list(runner.submit(points))
    runner.close()

"""A run directory is whole or it is not there, whatever ended its writer."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from simulator.core.errors import ConfigError
from simulator.report import run_directory
from simulator.report.run_directory import RunTarget, default_run_path, remove_abandoned, run_target, whole_directory

FILES = ("manifest.json", "operators.csv", "summary.json")

# A writer that stops for long at one place, so that it can be killed there.
WRITER = """
import sys, time
from pathlib import Path
from simulator.report import run_directory
from simulator.report.run_directory import run_target, whole_directory

out, default, stage, content = sys.argv[1:]

def stop_at(name):
    if name == stage:
        print("THERE", flush=True)
        time.sleep(120)

def around(name):
    wrapped = getattr(run_directory, name)
    def call(*arguments):
        stop_at("before" + name)
        result = wrapped(*arguments)
        stop_at("after" + name)
        return result
    setattr(run_directory, name, call)

for name in ("_locked_directory", "_sync_tree", "_publish", "_exchange", "_remove_unlocked"):
    around(name)
with whole_directory(run_target(out or None, Path(default))) as folder:
    stop_at("empty")
    for name in ("manifest.json", "operators.csv", "summary.json"):
        with (folder / name).open("w") as stream:
            stream.write(content[: len(content) // 2])
            stream.flush()
            stop_at("half of " + name)
            stream.write(content[len(content) // 2 :])
    stop_at("written")
print("DONE", flush=True)
"""
STAGES = [
    "before_locked_directory",
    "after_locked_directory",
    "empty",
    "half of manifest.json",
    "half of summary.json",
    "written",
    "before_sync_tree",
    "after_sync_tree",
    "before_publish",
    "after_publish",
]


def start_writer(out: Path | None, default: Path, stage: str, content: str) -> subprocess.Popen[str]:
    command = (sys.executable, "-c", WRITER, str(out or ""), str(default), stage, content)
    root = Path(__file__).resolve().parents[2]
    return subprocess.Popen(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE, text=True
    )


def end_at_stage(writer: subprocess.Popen[str], signal_number: int) -> int:
    assert writer.stdout is not None
    assert writer.stdout.readline() == "THERE\n"
    writer.send_signal(signal_number)
    code = writer.wait(timeout=60)
    writer.stdout.close()
    return code


def write(target: RunTarget, content: str) -> None:
    with whole_directory(target) as folder:
        for name in FILES:
            (folder / name).write_text(content)


def held_by(path: Path) -> str | None:
    """The content of a whole directory; None where there is none; fails for half a one."""
    if not path.exists():
        return None
    assert sorted(one.name for one in path.iterdir()) == sorted(FILES)
    contents = {(path / name).read_text() for name in FILES}
    assert len(contents) == 1
    return contents.pop()


def remains(folder: Path) -> list[Path]:
    return [one for one in folder.iterdir() if one.name.startswith(".")]


@pytest.mark.parametrize("stage", STAGES)
def test_kill_9_leaves_no_directory(tmp_path: Path, stage: str) -> None:
    target = tmp_path / "results" / "cent-query-12345678"
    assert end_at_stage(start_writer(None, target, stage, "new" * 100), signal.SIGKILL) == -signal.SIGKILL
    assert held_by(target) == ("new" * 100 if stage == "after_publish" else None)

    write(RunTarget(target, str(target), replaces=True), "next")
    assert held_by(target) == "next"
    assert remains(target.parent) == []


@pytest.mark.parametrize("stage", [*STAGES, "before_exchange", "after_exchange"])
def test_kill_9_leaves_the_old_run_or_the_new_one(tmp_path: Path, stage: str) -> None:
    target = tmp_path / "cent-query-12345678"
    write(RunTarget(target, str(target), replaces=True), "old")
    end_at_stage(start_writer(None, target, stage, "new" * 100), signal.SIGKILL)
    assert held_by(target) == ("new" * 100 if stage in ("after_publish", "after_exchange") else "old")

    write(RunTarget(target, str(target), replaces=True), "next")
    assert held_by(target) == "next"
    assert remains(tmp_path) == []


@pytest.mark.parametrize("stage", STAGES)
def test_kill_9_leaves_an_explicit_directory_empty_or_whole(tmp_path: Path, stage: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    end_at_stage(start_writer(out, tmp_path / "unused", stage, "new" * 100), signal.SIGKILL)
    if stage == "after_publish":
        assert held_by(out) == "new" * 100
    else:
        assert list(out.iterdir()) == []
        write(run_target(out, tmp_path / "unused"), "next")
        assert held_by(out) == "next"
        assert remains(tmp_path) == []


@pytest.mark.parametrize("stage", ["empty", "half of operators.csv", "before_sync_tree", "before_publish"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, stage: str) -> None:
    target = tmp_path / "run"
    code = end_at_stage(start_writer(None, target, stage, "new"), signal.SIGINT)
    assert code in (-signal.SIGINT, 130)
    assert list(tmp_path.iterdir()) == []


def test_kill_9_at_any_time(tmp_path: Path) -> None:
    """Writers that replace each other's run, killed after ever longer times: the name always holds a whole run."""
    target = tmp_path / "run"
    write(RunTarget(target, str(target), replaces=True), "old")
    program = WRITER.replace(
        "with whole_directory", "print('THERE', flush=True)\nwhile True:\n  with whole_directory", 1
    )
    head, loop = program.split("while True:\n")
    body = "\n".join("  " + line for line in loop.splitlines()[1:-1])
    program = f"{head}while True:\n{loop.splitlines()[0]}\n{body}\n"
    root = Path(__file__).resolve().parents[2]
    for step in range(12):
        writer = subprocess.Popen(
            (sys.executable, "-c", program, "", str(target), "never", f"run {step}"),
            env={**os.environ, "PYTHONPATH": str(root)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        assert writer.stdout.readline() == "THERE\n"
        time.sleep(0.003 * step)
        writer.kill()
        writer.wait(timeout=60)
        writer.stdout.close()
        assert held_by(target) is not None
    write(RunTarget(target, str(target), replaces=True), "next")
    assert remains(tmp_path) == []


def test_a_living_writer_keeps_its_directory(tmp_path: Path) -> None:
    target = tmp_path / "run"
    writer = start_writer(None, target, "written", "first")
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "THERE\n"
        assert len(remains(tmp_path)) == 1
        write(RunTarget(target, str(target), replaces=True), "second")
        assert len(remains(tmp_path)) == 1
    finally:
        writer.kill()
        writer.wait(timeout=60)
        writer.stdout.close()
    assert len(remove_abandoned(RunTarget(target, "run", replaces=True))) == 1
    assert held_by(target) == "second"


def test_only_remains_of_the_same_name_go_beside_an_explicit_target(tmp_path: Path) -> None:
    for name in (".mine.0123456789ab.partial", ".yours.0123456789ab.partial", ".mine.partial", ".mine.config"):
        (tmp_path / name).mkdir()
    write(run_target(tmp_path / "mine", tmp_path), "x")
    assert {one.name for one in remains(tmp_path)} == {".yours.0123456789ab.partial", ".mine.partial", ".mine.config"}
    write(RunTarget(tmp_path / "default", "default", replaces=True), "x")
    assert {one.name for one in remains(tmp_path)} == {".mine.partial", ".mine.config"}


def test_a_directory_that_holds_something_is_refused_early(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds files already") as caught:
        run_target(tmp_path, tmp_path / "unused")
    assert caught.value.exit_code == 2
    assert "remedy" in str(caught.value)


def test_a_directory_that_fills_meanwhile_is_refused_late(tmp_path: Path) -> None:
    target = run_target(tmp_path / "out", tmp_path / "unused")
    directory = whole_directory(target)
    (directory.__enter__() / "summary.json").write_text("ours")
    write(run_target(tmp_path / "out", tmp_path / "unused"), "theirs")
    with pytest.raises(ConfigError, match="holds files already"):
        directory.__exit__(None, None, None)
    assert held_by(tmp_path / "out") == "theirs"
    assert remains(tmp_path) == []


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="over a file"):
        run_target(tmp_path / "file", tmp_path / "unused")
    with pytest.raises(ConfigError, match="not a folder"):
        run_target(tmp_path / "file" / "below", tmp_path / "unused")


def test_a_place_that_cannot_be_written_is_refused_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_directory.os, "access", lambda _path, _mode: False)  # root may write everywhere
    with pytest.raises(ConfigError, match="cannot be written"):
        run_target(tmp_path / "out", tmp_path / "unused")


def test_parents_are_made_and_links_followed(tmp_path: Path) -> None:
    write(run_target(tmp_path / "a" / "b" / "c", tmp_path), "x")
    assert held_by(tmp_path / "a" / "b" / "c") == "x"
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write(run_target(tmp_path / "link", tmp_path), "x")
    assert (tmp_path / "link").is_symlink()
    assert held_by(tmp_path / "real") == "x"


def test_an_error_while_writing_leaves_the_old_run(tmp_path: Path) -> None:
    target = RunTarget(tmp_path / "run", "run", replaces=True)
    write(target, "old")
    directory = whole_directory(target)
    (directory.__enter__() / "summary.json").write_text("new")
    assert not directory.__exit__(KeyError, KeyError("a defect"), None)
    assert held_by(target.path) == "old"
    assert remains(tmp_path) == []


def test_a_full_disk_leaves_the_old_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = RunTarget(tmp_path / "run", "run", replaces=True)
    write(target, "old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(run_directory.os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        write(target, "new")
    assert held_by(target.path) == "old"
    assert remains(tmp_path) == []


def test_a_file_system_that_cannot_exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_first: Path, _second: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(run_directory, "_exchange", refuse)
    target = RunTarget(tmp_path / "run", "run", replaces=True)
    write(target, "old")
    write(target, "new")
    assert held_by(target.path) == "new"
    assert remains(tmp_path) == []


def test_every_file_is_synced_before_the_name_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    real_sync, real_rename = run_directory._sync, Path.rename
    monkeypatch.setattr(run_directory, "_sync", lambda path: (events.append(path.name), real_sync(path))[1])
    monkeypatch.setattr(Path, "rename", lambda path, to: (events.append("rename"), real_rename(path, to))[1])
    write(run_target(tmp_path / "out", tmp_path), "x")
    assert set(FILES) <= set(events[: events.index("rename")])
    assert events[-1] == tmp_path.name


@pytest.mark.parametrize(
    ("config", "workload", "name"),
    [
        ("hw_configs/cent.yaml", "llama2-70b", "cent-llama2-70b-01234567"),
        ("cent.yaml", "traces/a b/conv.csv", "cent-conv-01234567"),
        ("../x/..yaml", "512 in + 3,584 out", "run-512_in_+_3_584_out-01234567"),
    ],
)
def test_default_names(config: str, workload: str, name: str) -> None:
    assert default_run_path(config, workload, "0123456789abcdef") == Path("results") / name

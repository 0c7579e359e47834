"""Small sweeps, and sweeps as processes of their own that can be killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

REPO_ROOT = Path(__file__).resolve().parents[2]
BASE = f"""
config: {REPO_ROOT}/hw_configs/cent.yaml
set: {{workload.scope: norm, workload.model: llama2-7b, system.n_devices: 8}}
"""
OUTPUTS = {
    "table.csv", "table.parquet", "failed.csv", "timing.csv", "manifest.json", "summary.json", "sweep.yaml", "configs",
    "index.html", "plots",
}  # fmt: skip
TABLES = ("table.csv", "table.parquet", "failed.csv")


def write_sweep_file(folder: Path, text: str, name: str = "s.yaml") -> Path:
    """A sweep file of the smallest runs there are, with `text` added."""
    path = folder / name
    path.write_text(BASE + text)
    return path


def start(*arguments: object, cwd: Path) -> subprocess.Popen[str]:
    """`sim sweep ...` as a process."""
    command = (sys.executable, "-m", "simulator.cli.main", "sweep", *map(str, arguments))
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
    return subprocess.Popen(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def tables(folder: Path) -> dict[str, bytes]:
    """The bytes of a sweep's tables."""
    return {name: (folder / name).read_bytes() for name in TABLES}


def recorded(state: Path) -> dict[str, float]:
    """What is recorded for good: CPU time by address, which changes where a point is run again."""
    if not (state / "results.sqlite").exists():
        return {}
    connection = sqlite3.connect(state / "results.sqlite")
    try:
        return dict(connection.execute("SELECT key, cpu_s FROM results"))
    except sqlite3.OperationalError:  # killed before the first table was made
        return {}
    finally:
        connection.close()


def children(pid: int) -> list[int]:
    """Processes that a process started and that live."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether a process lives; one that waits to be buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return

"""The traces of the project: made again byte for byte, with the checksums that stand beside them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator.core.config import load_part
from simulator.workload.access_reading import read_accesses
from simulator.workload.catalog import data_directory
from simulator.workload.trace_summary import trace_info


def test_making_them_again_gives_the_same_bytes(repo_root: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(repo_root / "scripts" / "make_traces.py"), str(tmp_path)], check=True)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["SHA256SUMS", "conversation_2k.csv", "llama2_7b_gemms.csv"]
    for name in made:
        assert (tmp_path / name).read_bytes() == (repo_root / "traces" / name).read_bytes()


def test_checksums(repo_root: Path) -> None:
    for line in (repo_root / "traces" / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        assert hashlib.sha256((repo_root / "traces" / name).read_bytes()).hexdigest() == digest
        if name == "conversation_2k.csv":
            assert trace_info(repo_root / "traces" / name).checksum == digest


def test_every_trace_has_a_checksum(repo_root: Path) -> None:
    names = {line.split()[1] for line in (repo_root / "traces" / "SHA256SUMS").read_text().splitlines()}
    assert names == {path.name for path in (repo_root / "traces").iterdir()} - {"README.md", "SHA256SUMS"}


def test_the_readme_states_what_is_in_the_file(repo_root: Path) -> None:
    info = trace_info(repo_root / "traces" / "conversation_2k.csv")
    readme = (repo_root / "traces" / "README.md").read_text()
    lengths = [
        f"{found.p50:.0f} / {found.p90:.0f} / {found.p99:.0f} / {found.max}"
        for found in (info.prompt_tokens, info.output_tokens)
    ]
    assert f"| {info.n_requests:,} | {info.span_s:.0f} s | {lengths[0]} | {lengths[1]} |" in readme
    assert f"{info.rate_qps:.2f} req/s" in readme


@pytest.mark.parametrize("name", ["sql_store.npz", "rank_pages.npz"])
def test_the_readme_states_what_is_in_a_recording(repo_root: Path, name: str) -> None:
    stream = read_accesses(repo_root / "traces" / name)
    chunk = next(stream.chunks(stream.n_records))
    reads = np.sort(np.bincount(chunk.line[~chunk.is_write] // 64, minlength=stream.n_pages))[::-1]
    n_reads = int(reads.sum())
    top = [reads[: stream.n_pages // part].sum() / n_reads for part in (100, 10)]
    assert stream.clock is not None
    million = stream.clock.samples[-1] / 1e6
    row = (
        f"| {name} | {stream.n_records:,} | {n_reads:,} | {stream.n_records - n_reads:,} | {stream.n_pages:,} "
        f"| {stream.footprint_bytes / 2**20:.1f} MiB | {million:.1f} M | {n_reads / million / 1000:.1f} "
        f"| {top[0]:.0%} | {top[1]:.0%} |".replace("%", " %")
    )
    readme = (repo_root / "traces" / "README.md").read_text()
    assert row in readme
    assert f"| {name} | {reads[0]:,}, {np.median(reads[reads > 0]):.0f} |" in readme


def test_request_mixes_load() -> None:
    files = data_directory("workloads").glob("*.yaml")
    paths = sorted(path for path in files if not path.name.startswith("accesses_"))  # those are of pages, not requests
    assert len(paths) >= 3
    for path in paths:
        mix = load_part(str(path))
        assert mix.get("kind") == "llm"
        assert mix.get("prompt_tokens") > 0
        assert mix.get("output_tokens") > 0


def test_an_unknown_data_folder_is_an_error() -> None:
    with pytest.raises(Exception, match="nothing-of-ours"):
        data_directory("nothing-of-ours")

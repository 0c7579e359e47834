"""ServeGen folders: mean rates, independence of streams, lengths by window, and errors."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from simulator.core.errors import WorkloadError
from simulator.core.seeds import child_rng
from simulator.workload.servegen_clients import WINDOW_S, Window
from simulator.workload.traces import TraceOptions, read_trace

from .trace_writing import write_servegen


@pytest.mark.parametrize(
    ("family", "shape"),
    [("Gamma", 0.05), ("Gamma", 1.0), ("Gamma", 20.0), ("Weibull", 0.3), ("Weibull", 2.0), ("", 1.0)],
)
def test_a_window_has_its_mean_rate_however_bursty(family: str, shape: float) -> None:
    window = Window(0, 0.2, family, shape)
    counts = [len(window.arrivals_s(child_rng(1, "x", index))) for index in range(2000)]
    standard_error = np.std(counts) / math.sqrt(len(counts))
    assert abs(np.mean(counts) - 0.2 * WINDOW_S) < 4 * standard_error


def test_intervals_have_the_familys_variation() -> None:
    for family, shape, variation in (("Gamma", 0.25, 2.0), ("Weibull", 0.5, math.sqrt(5))):
        gaps = np.diff(Window(0, 50.0, family, shape).arrivals_s(child_rng(2, "x")))
        assert gaps.std() / gaps.mean() == pytest.approx(variation, rel=0.1)


def test_a_silent_window_is_silent() -> None:
    assert len(Window(0, 0.0, "", 1.0).arrivals_s(child_rng(1, "x"))) == 0


def test_asking_for_more_changes_no_request_that_was_there(tmp_path: Path) -> None:
    write_servegen(tmp_path)
    short = read_trace(tmp_path, options=TraceOptions(n_requests=100))
    long = read_trace(tmp_path, options=TraceOptions(n_requests=2000))
    assert short.format == "servegen"
    for name in ("arrival_ps", "prompt_tokens", "output_tokens"):
        assert getattr(short, name).tolist() == getattr(long, name)[:100].tolist()
    assert long.span_ps > 1200 * 10**12


def test_a_new_client_changes_no_other(tmp_path: Path) -> None:
    write_servegen(tmp_path / "two", n_clients=2)
    write_servegen(tmp_path / "three", n_clients=3)
    two = read_trace(tmp_path / "two", options=TraceOptions(n_requests=50))
    three = read_trace(tmp_path / "three", options=TraceOptions(n_requests=500))
    gaps = set(np.diff(np.unique(two.arrival_ps))[:20].tolist())
    times = three.arrival_ps.tolist()
    found = {later - earlier for index, earlier in enumerate(times) for later in times[index + 1 : index + 40]}
    assert gaps <= found or len(gaps - found) <= 2


def test_one_window_without_a_number_of_requests(tmp_path: Path) -> None:
    write_servegen(tmp_path)
    trace = read_trace(tmp_path)
    assert trace.span_ps < WINDOW_S * 10**12
    # Two clients with 0.5 and 1 requests/s.
    assert len(trace) == pytest.approx(900, rel=0.2)
    assert str(trace.place(3)) == f"{tmp_path}, request 3"
    assert any("first 10-minute window" in note for note in trace.notes)
    assert any("2 clients publish no token counts" in note for note in trace.notes)


def test_lengths_are_the_published_ones(tmp_path: Path) -> None:
    write_servegen(tmp_path)
    trace = read_trace(tmp_path, options=TraceOptions(n_requests=3000))
    assert set(trace.prompt_tokens.tolist()) == {100, 200}
    assert np.mean(trace.prompt_tokens == 100) == pytest.approx(0.5, abs=0.05)
    assert np.mean(trace.output_tokens == 20) == pytest.approx(0.75, abs=0.05)


def test_multimodal_prompts_are_text_plus_count_times_tokens(tmp_path: Path) -> None:
    write_servegen(tmp_path, n_clients=2)
    fields = {
        "text_tokens": "{7: 1.0}",
        "image_tokens": "{100: 0.5, 300: 0.5}",
        "image_count": "{1: 0.5, 2: 0.5}",
        "audio_tokens": "{0: 1.0}",
        "audio_count": "{0: 1.0}",
        "output_tokens": "{3: 1.0}",
    }
    (tmp_path / "chunk-1-dataset.json").write_text(json.dumps({"0": fields}))
    trace = read_trace(tmp_path, options=TraceOptions(n_requests=300))
    assert set(trace.prompt_tokens.tolist()) == {107, 207, 307, 607}


def test_seeds_and_speed(tmp_path: Path) -> None:
    write_servegen(tmp_path)
    one = read_trace(tmp_path, options=TraceOptions(n_requests=50, seed=1, qps=2.0))
    two = read_trace(tmp_path, options=TraceOptions(n_requests=50, seed=2, qps=2.0))
    assert one.arrival_ps.tolist() != two.arrival_ps.tolist()
    assert one.offered_qps == pytest.approx(2.0)
    assert one.checksum == two.checksum


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0,1,1,Gamma,1", "5 fields instead of 6"),
        ("x,1,1,Gamma,1,1", "start is 'x'"),
        ("2400,-1,1,Gamma,1,1", "rate is '-1'"),
        ("2400,nan,1,Gamma,1,1", "rate is 'nan'"),
        ("2400,1,1,Normal,1,1", "family is 'Normal'"),
        ("2400,1,1,Weibull,0,1", "shape is 0"),
        ("2400,1e9,1,Gamma,1,1", "rate is 1e9 requests/s"),
        ("1200,1,1,Gamma,1,1", "overlaps"),
        ("", "the line is empty"),
    ],
)
def test_bad_windows_name_the_line(line: str, message: str, tmp_path: Path) -> None:
    write_servegen(tmp_path)
    with (tmp_path / "chunk-2-trace.csv").open("a") as stream:
        stream.write(line + "\n")
    with pytest.raises(WorkloadError, match=r"chunk-2-trace\.csv:5") as caught:
        read_trace(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"a": {}}',
        '{"0": 1}',
        '{"0": {"input_tokens": 5, "output_tokens": "{1: 1}"}}',
        '{"0": {"input_tokens": "{1: 1:2}", "output_tokens": "{1: 1}"}}',
        '{"0": {"input_tokens": "{1: nan}", "output_tokens": "{1: 1}"}}',
        '{"0": {"input_tokens": "{1: 0.3}", "output_tokens": "{1: 1}"}}',
        '{"0": {"input_tokens": "{1: 2, 2: -1}", "output_tokens": "{1: 1}"}}',
        '{"0": {"input_tokens": "{1.5: 1}", "output_tokens": "{1: 1}"}}',
        '{"0": {"input_tokens": "{1: -}", "output_tokens": "{1: 1}"}}',
    ],
)
def test_bad_lengths_name_the_file(content: str, tmp_path: Path) -> None:
    write_servegen(tmp_path)
    (tmp_path / "chunk-1-dataset.json").write_text(content)
    with pytest.raises(WorkloadError, match=r"chunk-1-dataset\.json") as caught:
        read_trace(tmp_path)
    assert caught.value.exit_code == 3


def test_folders_without_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"no chunk-N-trace\.csv"):
        read_trace(tmp_path, "servegen")
    write_servegen(tmp_path)
    (tmp_path / "chunk-1-dataset.json").unlink()
    with pytest.raises(WorkloadError, match="token counts"):
        read_trace(tmp_path)
    write_servegen(tmp_path / "still", n_clients=1)
    with pytest.raises(WorkloadError):
        read_trace(tmp_path / "still")

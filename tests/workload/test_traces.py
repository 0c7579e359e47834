"""Readers of every format: round trips, recognition, errors by line, and text that means to break them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.core.errors import ConfigError, SimulatorError, WorkloadError
from simulator.workload.requests import RequestTrace
from simulator.workload.trace_text import decimal_ps
from simulator.workload.traces import TraceOptions, formats, read_trace

from .trace_writing import BLOCK_TOKENS, TICK_PS, WITH_TIMES, Row, lengths, write_servegen

ROWS = st.lists(
    st.builds(
        Row,
        ticks=st.integers(0, 9 * 10**13),
        prompt=st.integers(1, 10**6),
        output=st.integers(1, 10**6),
        blocks=st.lists(st.integers(0, 2**40), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=12,
)
EXAMPLE = [Row(0, 600, 5, (1, 2)), Row(3 * 10**7, 700, 6, (1,)), Row(9 * 10**7, 20, 7)]


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Write a trace and give its path."""

    def write(content: str | bytes) -> Path:
        path = tmp_path / "t.trace"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def test_all_formats_are_found_by_name() -> None:
    assert formats() == ("azure", "bailian", "burstgpt", "lengths", "mooncake", "servegen", "vidur", "vllm")


@pytest.mark.parametrize("name", WITH_TIMES)
@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_what_is_written_is_read(name: str, rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> None:
    block = BLOCK_TOKENS.get(name, 1)
    rows = [Row(row.ticks, row.prompt, row.output, row.blocks[: -(-row.prompt // block)]) for row in rows]
    path = tmp_path_factory.getbasetemp() / f"{name}.trace"
    path.write_text(WITH_TIMES[name](rows))
    trace = read_trace(path)
    assert trace.format == name
    order = sorted(range(len(rows)), key=lambda index: rows[index].ticks)
    first = rows[order[0]].ticks
    assert trace.ids.tolist() == order
    assert trace.arrival_ps.tolist() == [(rows[index].ticks - first) * TICK_PS for index in order]
    assert trace.prompt_tokens.tolist() == [rows[index].prompt for index in order]
    assert trace.output_tokens.tolist() == [rows[index].output for index in order]
    if trace.prefix is not None:
        assert [request.prefix_blocks for request in trace] == [rows[index].blocks for index in order]
    assert any("sorted by arrival" in note for note in trace.notes) == (order != list(range(len(rows))))


def test_ties_keep_the_order_of_the_file(put: Callable[[str], Path]) -> None:
    path = put(WITH_TIMES["vidur"]([Row(5, 1, 1), Row(0, 2, 1), Row(5, 3, 1), Row(0, 4, 1)]))
    trace = read_trace(path)
    assert trace.prompt_tokens.tolist() == [2, 4, 1, 3]
    assert [str(trace.place(index)) for index in range(4)] == [f"{path}:{line}" for line in (3, 5, 2, 4)]


def test_azure_keeps_100_ns_and_knows_its_later_forms(put: Callable[[str], Path]) -> None:
    path = put(
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\r\n"
        "2024-05-10 00:00:00.0099301+00:00,1,10,2\r\n"
        "2024-05-10T02:00:00+02:00,1,11,2\r\n"
        "2024-05-10 00:00:01Z,1,12,2\r\n"
    )
    trace = read_trace(path)
    assert trace.prompt_tokens.tolist() == [11, 10, 12]
    assert trace.arrival_ps.tolist() == [0, 9_930_100_000, 10**12]


def test_columns_may_come_in_any_order(put: Callable[[str], Path]) -> None:
    path = put("num_decode_tokens,x,arrived_at, num_prefill_tokens\n3,,1e1,2\n5,,1.25E+1,4\n")
    trace = read_trace(path)
    assert trace.arrival_ps.tolist() == [0, 2_500_000_000_000]
    assert trace.prompt_tokens.tolist() == [2, 4]


def test_byte_order_mark_and_missing_last_line_end(put: Callable[[str], Path]) -> None:
    text = "﻿" + WITH_TIMES["azure"](EXAMPLE).rstrip("\n")
    assert len(read_trace(put(text))) == 3


def test_burstgpt_drops_failures_and_counts_them(put: Callable[[str], Path]) -> None:
    path = put(
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n"
        "45,ChatGPT,1087,0,1087,Conversation log\n"
        "118,GPT-4,417,276,693,API log\n"
    )
    trace = read_trace(path)
    assert trace.ids.tolist() == [0, 2]
    assert trace.arrival_ps.tolist() == [0, 113 * 10**12]
    assert trace.notes == ("1 of 3 requests failed (0 response tokens) and are dropped",)


def test_all_requests_failed(put: Callable[[str], Path]) -> None:
    path = put("Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,GPT-4,4,0,4,API log\n")
    with pytest.raises(WorkloadError, match="no requests"):
        read_trace(path)


def test_vllm_reads_measured_logs(put: Callable[[str], Path]) -> None:
    path = put(
        '{"request_id": "a", "input_toks": 5, "output_toks": 2, "arrival_time": 1787267980.0827403, "queued_ts": 1.5}\n'
        '{"request_id": "b", "input_toks": 6, "output_toks": 2, "arrival_time": 1787267980.3478317, "queued_ts": 1.6}\n'
    )
    trace = read_trace(path)
    assert trace.prefix is None
    assert trace.arrival_ps.tolist() == [0, 265_091_400_000]


def test_lengths_need_a_rate_and_take_a_process(put: Callable[[str], Path]) -> None:
    path = put(lengths(EXAMPLE * 500))
    with pytest.raises(ConfigError, match="no arrival times"):
        read_trace(path)
    trace = read_trace(path, options=TraceOptions(qps=4, seed=7))
    assert trace.offered_qps == pytest.approx(4, rel=0.1)
    assert trace.prompt_tokens.tolist() == [600, 700, 20] * 500
    assert read_trace(path, options=TraceOptions(qps=4, seed=7)).arrival_ps.tolist() == trace.arrival_ps.tolist()
    assert read_trace(path, options=TraceOptions(qps=4, seed=8)).arrival_ps.tolist() != trace.arrival_ps.tolist()
    even = read_trace(path, options=TraceOptions(qps=4, arrivals="constant", n_requests=5))
    assert even.arrival_ps.tolist() == [index * 25 * 10**10 for index in range(5)]
    with pytest.raises(ConfigError):
        read_trace(path, options=TraceOptions(time_scale=2))


def test_a_trace_with_times_takes_no_process(put: Callable[[str], Path]) -> None:
    with pytest.raises(ConfigError, match="its own arrival times"):
        read_trace(put(WITH_TIMES["azure"](EXAMPLE)), options=TraceOptions(arrivals="poisson"))


def test_first_requests_then_jitter_then_speed(put: Callable[[str], Path]) -> None:
    path = put(WITH_TIMES["mooncake"]([Row(3 * 10**7 * (index // 4), 5, 5) for index in range(40)]))
    options = TraceOptions(n_requests=20, jitter_s=3, qps=0.5, seed=3)
    trace = read_trace(path, options=options)
    assert len(trace) == 20
    assert max(trace.ids) == 19
    assert trace.offered_qps == pytest.approx(0.5)
    assert len(set(trace.arrival_ps.tolist())) == 20
    with pytest.raises(ConfigError, match="both set the speed"):
        TraceOptions(qps=1, time_scale=2)


def test_long_traces_are_refused_unless_cut(put: Callable[[str], Path]) -> None:
    path = put("arrived_at,num_prefill_tokens,num_decode_tokens\n19440110.0,1,1\n19440111.5,1,1\n29440110.0,1,1\n")
    with pytest.raises(WorkloadError, match=r"106\.75 days"):
        read_trace(path)
    assert read_trace(path, options=TraceOptions(n_requests=2)).span_ps == 15 * 10**11


AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n"
MOONCAKE = '{"timestamp": 0, "input_length": 10, "output_length": 5, "hash_ids": [0]}\n'
VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.5,10,5\n"
BURST = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n5,GPT-4,4,2,6,API log\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the trace is empty"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "no requests"),
        (AZURE + "\n", "t.trace:3: the line is empty"),
        (AZURE + "   \n", "t.trace:3: the line is empty"),
        (AZURE + "\n" + AZURE.split("\n")[1], "t.trace:3: the line is empty"),
        (AZURE + "2023-11-16 18:15:47,1\n", "t.trace:3: 2 fields under 3 columns"),
        (AZURE + "2023-11-16 18:15:47,1,2,3\n", "t.trace:3: 4 fields under 3 columns"),
        (AZURE + "2023-11-16 18:15:47,NaN,2\n", "t.trace:3:21: ContextTokens is 'NaN'"),
        (AZURE + "2023-11-16 18:15:47,-5,2\n", "t.trace:3:21: ContextTokens is '-5'"),
        (AZURE + "2023-11-16 18:15:47,0,2\n", "t.trace:3:21: ContextTokens is '0'"),
        (AZURE + "2023-11-16 18:15:47,5,0\n", "t.trace:3:23: GeneratedTokens is '0'"),
        (AZURE + "2023-11-16 18:15:47,5,1.5\n", "t.trace:3:23: GeneratedTokens is '1.5'"),
        (AZURE + "2023-11-16 18:15:47,5,1_0\n", "t.trace:3:23: GeneratedTokens is '1_0'"),
        (AZURE + "2023-11-16 18:15:47,5,99999999999\n", "t.trace:3:23: GeneratedTokens is"),
        (AZURE + "2023-13-16 18:15:47,5,1\n", "t.trace:3:1: TIMESTAMP is '2023-13-16"),
        (AZURE + "nan,5,1\n", "t.trace:3:1: TIMESTAMP is 'nan'"),
        (AZURE + "2023-11-16 18:15:47.12x,5,1\n", "t.trace:3:1: TIMESTAMP is"),
        (AZURE + '"2023-11-16 18:15:47,5,1\n2023-11-16 18:15:48,5,1\n', "t.trace:3: "),
        (AZURE.replace("ContextTokens", "Context"), "no known trace format begins like this: Context"),
        (MOONCAKE + "\n", "t.trace:2: the line is empty"),
        (MOONCAKE + "{\n", "t.trace:2:2: not JSON"),
        (MOONCAKE + "[1]\n", "t.trace:2: the line holds no JSON object"),
        (MOONCAKE + MOONCAKE.replace("10", "NaN"), "t.trace:2: not JSON"),
        (MOONCAKE + MOONCAKE.replace("10", "-10"), "t.trace:2: input_length is -10"),
        (MOONCAKE + MOONCAKE.replace("10", "true"), "t.trace:2: input_length is True"),
        (MOONCAKE + MOONCAKE.replace("10", "1.5"), "t.trace:2: input_length is 1.5"),
        (MOONCAKE + MOONCAKE.replace("5", "0"), "t.trace:2: output_length is 0"),
        (MOONCAKE + MOONCAKE.replace('"timestamp": 0', '"timestamp": -1'), "t.trace:2: timestamp is -1"),
        (MOONCAKE + MOONCAKE.replace('"timestamp": 0', '"timestamp": "0"'), "t.trace:2: timestamp is '0'"),
        (MOONCAKE + MOONCAKE.replace('"timestamp": 0', '"timestamp": 1e400'), "t.trace:2: timestamp is 1E"),
        (MOONCAKE + MOONCAKE.replace('"timestamp": 0', '"time": 0'), "t.trace:2: the record has no 'timestamp'"),
        (MOONCAKE + MOONCAKE.replace("[0]", "[0, 1]"), "t.trace:2: hash_ids names 2 blocks"),
        (MOONCAKE + MOONCAKE.replace("[0]", "[0.5]"), "t.trace:2: hash_ids is no list"),
        (MOONCAKE + MOONCAKE.replace("[0]", "[18446744073709551616]"), "t.trace:2: hash_ids is no list"),
        (MOONCAKE + "[" * 100_000 + "\n", "t.trace:2"),
        (VIDUR + "nan,1,1\n", "t.trace:3:1: arrived_at is 'nan'"),
        (VIDUR + "inf,1,1\n", "t.trace:3:1: arrived_at is 'inf'"),
        (VIDUR + "-1,1,1\n", "t.trace:3:1: arrived_at is '-1'"),
        (VIDUR + ",1,1\n", "t.trace:3:1: arrived_at is ''"),
        (VIDUR.replace("arrived_at", "arrived_at,arrived_at").replace("0.5", "0.5,1"), "'arrived_at' twice"),
        (BURST + "6,GPT-4,0,2,2,API log\n", "t.trace:3:9: Request tokens is '0'"),
        (BURST + "6,GPT-4,2,-1,1,API log\n", "t.trace:3:11: Response tokens is '-1'"),
    ],
)
def test_errors_name_the_line(text: str, message: str, put: Callable[[str], Path]) -> None:
    with pytest.raises(WorkloadError) as caught:
        read_trace(put(text))
    assert message in str(caught.value)
    assert caught.value.exit_code == 3
    assert caught.value.remedy


def test_bytes_that_are_no_text(put: Callable[[bytes], Path]) -> None:
    for text, line in (
        (AZURE.encode() + b"2023-11-16 \xff\n", "t.trace:3:12"),
        (MOONCAKE.encode() + b"\x80", "t.trace:2:1"),
    ):
        with pytest.raises(WorkloadError, match=line):
            read_trace(put(text))


def test_missing_files_and_unknown_formats(put: Callable[[str], Path], tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path, Path("a\0b"), Path("x" * 5000)):
        with pytest.raises(WorkloadError) as caught:
            read_trace(path)
        assert caught.value.exit_code == 3
    with pytest.raises(ConfigError, match="did you mean `mooncake`"):
        read_trace(put(MOONCAKE), "mooncak")
    for name in formats():
        if name != "mooncake":
            with pytest.raises(SimulatorError):
                read_trace(put(MOONCAKE), name)


@pytest.mark.parametrize("n_requests", [0, -3, 4])
def test_numbers_of_requests_that_are_none(n_requests: int, put: Callable[[str], Path]) -> None:
    with pytest.raises(WorkloadError):
        read_trace(put(WITH_TIMES["azure"](EXAMPLE)), options=TraceOptions(n_requests=n_requests))


@pytest.mark.parametrize(
    ("text", "unit_ps", "expected"),
    [
        ("0.0000001", 10**12, 100_000),
        ("1787267980.0827403", 10**12, 1_787_267_980_082_740_300_000),
        ("1e-12", 10**12, 1),
        ("2.5", 1, 2),
        ("3.5", 1, 4),
        ("-0", 1, 0),
        ("-1e-30", 10**12, None),
        ("NaN", 1, None),
        ("1e99", 1, None),
    ],
)
def test_decimals_become_picoseconds(text: str, unit_ps: int, expected: int | None) -> None:
    assert decimal_ps(text, unit_ps) == expected


def read_or_refuse(path: Path, name: str) -> RequestTrace | None:
    """The trace, or None where the reader refused it in words; anything else fails the test."""
    refused: SimulatorError | None = None
    try:
        return read_trace(path, name, TraceOptions(qps=1.0))
    except SimulatorError as error:
        refused = error
    assert refused.exit_code in (2, 3)
    assert refused.remedy
    return None


FUZZED = [*WITH_TIMES, "lengths", "auto"]


@pytest.mark.parametrize("name", FUZZED)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_refused(name: str, content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "any.trace"
    path.write_bytes(content)
    read_or_refuse(path, name)


INSERTED = st.text(max_size=8) | st.sampled_from(
    [
        "\n",
        "\r",
        "\r\n",
        '"',
        ",",
        "{",
        "}",
        "[",
        "NaN",
        "-",
        "-1",
        "1e999",
        "0",
        "\0",
        "Infinity",
        "null",
        "true",
        "9" * 30,
        "9" * 5000,
    ]
)


@pytest.mark.parametrize("name", [*WITH_TIMES, "lengths"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(at=st.integers(0, 400), cut=st.integers(0, 6), text=INSERTED, auto=st.booleans())
def test_mutated_traces_are_read_or_refused(
    name: str, at: int, cut: int, text: str, auto: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = lengths(EXAMPLE) if name == "lengths" else WITH_TIMES[name](EXAMPLE)
    at = at % len(whole)
    path = tmp_path_factory.getbasetemp() / "mutated.trace"
    path.write_bytes((whole[:at] + text + whole[at + cut :]).encode("utf-8", "surrogatepass"))
    trace = read_or_refuse(path, "auto" if auto else name)
    if trace is not None:
        assert 1 <= len(trace) <= 4


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    which=st.sampled_from(["chunk-1-trace.csv", "chunk-1-dataset.json"]),
    at=st.integers(0, 400),
    cut=st.integers(0, 6),
    text=INSERTED,
)
def test_mutated_servegen_folders_are_read_or_refused(
    which: str, at: int, cut: int, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "servegen"
    write_servegen(folder, rate=0.01)
    whole = (folder / which).read_text()
    at = at % len(whole)
    (folder / which).write_bytes((whole[:at] + text + whole[at + cut :]).encode("utf-8", "surrogatepass"))
    read_or_refuse(folder, "auto")


@pytest.mark.parametrize("name", ["mooncake", "bailian", "vllm"])
@settings(max_examples=100, deadline=None)
@given(
    change=st.dictionaries(
        st.sampled_from(
            ["timestamp", "input_length", "output_length", "hash_ids", "input_toks", "output_toks", "arrival_time_ns"]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=3)
        | st.lists(st.integers(), max_size=2),
        min_size=1,
        max_size=2,
    )
)
def test_records_with_any_value_are_read_or_refused(
    name: str, change: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    record = json.loads(WITH_TIMES[name](EXAMPLE).split("\n")[0])
    path = tmp_path_factory.getbasetemp() / "record.trace"
    path.write_text(json.dumps({**record, **change}) + "\n")
    read_or_refuse(path, name)

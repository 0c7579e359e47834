"""Lists of matrix products: what is read, and every refusal at its place."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.core.errors import WorkloadError
from simulator.workload.batch import Batch, Sequence
from simulator.workload.catalog import load_model
from simulator.workload.gemm_list import MAX_SIZE, GemmList, read_gemms
from simulator.workload.operators import AttentionOutput, AttentionScore, Linear, LmHead, operators


def read(folder: Path, text: str | bytes) -> GemmList:
    path = folder / "gemms.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_gemms(path)


@pytest.mark.parametrize(
    "text",
    [
        "M,N,K\n1,2,3\n40,50,60\n",
        "M,N,K\r\n1,2,3\r\n40,50,60",
        "\ufeffM,N,K\n1,2,3\n40,50,60\n",
        "k,m,n\n3,1,2\n60,40,50\n",
        "# two products\nK , extra, M, N\n3,x,1,2\n# and\n60,,40, 50 \n",
        "Layer,M,N,K,\na,1,2,3,\nb,40,50,60,\n",
        '"M","N","K"\n"1","2","3"\n40,50,60\n',
    ],
)
def test_columns_in_any_order_and_spelling(tmp_path: Path, text: str) -> None:
    gemms = read(tmp_path, text)
    assert (gemms.m.tolist(), gemms.n.tolist(), gemms.k.tolist()) == ([1, 40], [2, 50], [3, 60])
    assert gemms.count.tolist() == [1, 1]


def test_names_and_counts(tmp_path: Path) -> None:
    gemms = read(tmp_path, "name,M,N,K,count\nq_proj,1,2,3,32\n,4,5,6,1\n")
    assert gemms.names == ("q_proj", "4x5x6")
    assert gemms.count.tolist() == [32, 1]
    assert str(gemms.position(1)).endswith("gemms.csv:3")


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("", "gemms.csv: ", "empty"),
        ("# nothing\n", "gemms.csv: ", "empty"),
        ("M,N,K\n", "gemms.csv: ", "no products"),
        ("M,N\n1,2\n", "gemms.csv:1: ", "no column 'K'"),
        ("1,2,3\n4,5,6\n", "gemms.csv:1: ", "no column 'M'"),
        ("M,N,K,m\n1,2,3,4\n", "gemms.csv:1:7: ", "second column `m`"),
        ("M,N,K\n1,2\n", "gemms.csv:2: ", "2 fields under 3 columns"),
        ("M,N,K\n1,2,3\n\n4,5,6\n", "gemms.csv:3: ", "empty"),
        ("M,N,K\n1,0,3\n", "gemms.csv:2:3: ", "N is '0'"),
        ("M,N,K\n1,-2,3\n", "gemms.csv:2:3: ", "N is '-2'"),
        ("M,N,K\n1,2,\n", "gemms.csv:2:5: ", "K is empty"),
        ("M,N,K\n1,two,3\n", "gemms.csv:2:3: ", "N is 'two'"),
        ("M,N,K\n1,2.5,3\n", "gemms.csv:2:3: ", "N is '2.5'"),
        ("M,N,K\n1,1e3,3\n", "gemms.csv:2:3: ", "N is '1e3'"),
        ("M,N,K\n1,nan,3\n", "gemms.csv:2:3: ", "N is 'nan'"),
        (f"M,N,K\n1,{MAX_SIZE + 1},3\n", "gemms.csv:2:3: ", "whole number from 1 to"),
        ("M,N,K\n1," + "9" * 5000 + ",3\n", "gemms.csv:2:3: ", "999..."),
        (f"M,N,K\n{MAX_SIZE},{MAX_SIZE},3\n", "gemms.csv:2: ", "multiplications"),
        ("M,N,K,count\n1,2,3,0\n", "gemms.csv:2:7: ", "count is '0'"),
        ('M,N,K\n1,"2\n3",4\n', "gemms.csv:2: ", "end of the line"),
        (b"M,N,K\n1,2,\xff\n", "gemms.csv:2:5: ", "not UTF-8"),
        ("M,N,K\n1,2,٣\n", "gemms.csv:2:5: ", "K is '٣'"),
    ],
)
def test_a_wrong_list_is_refused_at_its_place(tmp_path: Path, text: str | bytes, place: str, said: str) -> None:
    with pytest.raises(WorkloadError) as refused:
        read(tmp_path, text)
    message = str(refused.value)
    assert place in message
    assert said in message
    assert "remedy: " in message
    assert refused.value.exit_code == 3


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        with pytest.raises(WorkloadError, match="cannot read"):
            read_gemms(path)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from('MNKmnk,012-.\n\r"# \x00\ufeff'), max_size=40))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with contextlib.suppress(WorkloadError):
        assert len(read(tmp_path_factory.getbasetemp(), text)) >= 1


def products_of(model: str, batch: Batch) -> dict[str, tuple[int, int, int, int]]:
    """The matrix products of a step, by name: M, N, K and how often."""
    found = {}
    for use in operators(load_model(model), batch):
        operator = use.operator
        if isinstance(operator, Linear | LmHead):
            sizes = (operator.tokens, operator.hidden, operator.vocab) if isinstance(operator, LmHead) else (
                operator.tokens, operator.in_features, operator.out_features
            )  # fmt: skip
            found[use.name] = (sizes[0], sizes[2], sizes[1], use.repeat)
        elif isinstance(operator, AttentionScore | AttentionOutput):
            (sequence,) = set(operator.sequences)
            n_products = use.repeat * operator.n_heads * len(operator.sequences)
            inner = (sequence.context, operator.head_dim)
            n, k = inner if isinstance(operator, AttentionScore) else inner[::-1]
            found[use.name] = (sequence.new_tokens, n, k, n_products)
    return found


def test_the_shipped_list_is_that_of_the_model(repo_root: Path) -> None:
    gemms = read_gemms(repo_root / "traces" / "llama2_7b_gemms.csv")
    columns = (one.tolist() for one in (gemms.m, gemms.n, gemms.k, gemms.count))
    listed = dict(zip(gemms.names, zip(*columns, strict=True), strict=True))
    steps = {"prefill": Batch((Sequence(512, 512),)), "decode": Batch.decode(512, 16)}
    wanted = {
        f"{phase}.{name}": sizes
        for phase, batch in steps.items()
        for name, sizes in products_of("llama2-7b", batch).items()
    }
    assert listed == wanted

"""Files of token ids and their windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from simulator.core.errors import WorkloadError
from simulator.workload.tokens import TokenFile


def saved(folder: Path, array: object, name: str = "ids.npy") -> Path:
    path = folder / name
    np.save(path, np.asarray(array))
    return path


def test_windows_follow_each_other(tmp_path: Path) -> None:
    tokens = TokenFile.read(saved(tmp_path, np.arange(25, dtype=np.uint16)))
    assert tokens.windows(1, 2, 8, n_key="n", vocab=25).tolist() == [list(range(8, 16)), list(range(16, 24))]


def test_the_projects_own_tokens_have_a_name() -> None:
    tokens = TokenFile.read("own_source")
    assert len(tokens.tokens) == 85_939
    assert tokens.tokens.max() < 8192
    assert tokens.tokens[0] == 0


@pytest.mark.parametrize(
    ("array", "cause"),
    [
        (np.zeros((3, 4), np.int32), "shape (3, 4)"),
        (np.zeros(4), "float64"),
        (np.array([1, 2, -3]), "token 2 is -3"),
        (np.array([], np.int32), "shape (0,)"),
        (np.array(["a"]), "<U1"),
        (np.array([7, 2**63], np.uint64), "token 1 is 9,223,372,036,854,775,808"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: object, cause: str) -> None:
    with pytest.raises(WorkloadError) as error:
        TokenFile.read(saved(tmp_path, array))
    assert cause in str(error.value)
    assert "numpy.save" in str(error.value)


def test_a_torn_file_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, np.arange(100))
    path.write_bytes(path.read_bytes()[:90])
    with pytest.raises(WorkloadError, match="no NumPy array"):
        TokenFile.read(path)


@pytest.mark.parametrize("header", ["{'descr': '<i8', 'fortran_order': False, 'shape': (10**18,)}", "((((", None])
def test_a_torn_header_is_refused(tmp_path: Path, header: str | None) -> None:
    path = tmp_path / "ids.npy"
    text = b"" if header is None else header.replace("10**18", f"{10**18}").encode() + b"\n"
    path.write_bytes(b"PK\x03\x04" if header is None else b"\x93NUMPY\x01\x00" + bytes([len(text), 0]) + text)
    with pytest.raises(WorkloadError, match="no NumPy array"):
        TokenFile.read(path)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "ids.npy"
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(WorkloadError, match="no NumPy array"):
        TokenFile.read(path)


def test_too_few_tokens_say_how_many_windows_there_are(tmp_path: Path) -> None:
    tokens = TokenFile.read(saved(tmp_path, np.arange(25)))
    with pytest.raises(WorkloadError, match="are 3 windows") as error:
        tokens.windows(2, 2, 8, n_key="workload.n_windows", vocab=25)
    assert "at most 1" in str(error.value)
    assert error.value.where == "workload.n_windows"


def test_tokens_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    tokens = TokenFile.read(saved(tmp_path, np.arange(25)))
    with pytest.raises(WorkloadError, match="token 20 is 20, and the model knows 20"):
        tokens.windows(0, 3, 8, n_key="n", vocab=20)


def test_a_missing_file_names_those_that_are_there() -> None:
    with pytest.raises(WorkloadError, match="own_source"):
        TokenFile.read("docs_and_sauce")

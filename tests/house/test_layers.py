"""Every layer imports only what its row of the design's table allows."""

from __future__ import annotations

import configparser
import re

import pytest

from tests.house import tree
from tests.house.layers import MAY_IMPORT, kernel_violations, layer_violations, third_party_imports

# What a distribution installs under another name, or brings with it as part of its interface.
DISTRIBUTIONS = {"yaml": "PyYAML", "pydantic_core": "pydantic", "annotated_types": "pydantic"}


@pytest.mark.parametrize("path", tree.modules())
def test_layers(path: str) -> None:
    assert layer_violations(tree.text_of(path), path) == []


@pytest.mark.parametrize("path", tree.modules())
def test_kernels(path: str) -> None:
    assert kernel_violations(tree.text_of(path), path) == []


def test_the_table_has_no_cycle() -> None:
    order: list[str] = []
    while len(order) < len(MAY_IMPORT):
        free = [layer for layer, allowed in MAY_IMPORT.items() if layer not in order and allowed <= set(order)]
        assert free, f"a cycle among {set(MAY_IMPORT) - set(order)}"
        order += free


def test_every_third_party_import_is_declared(repo_root) -> None:
    config = configparser.ConfigParser()
    config.read(repo_root / "setup.cfg")
    requires = config["options"]["install_requires"].split() + config["options.extras_require"].get("dse", "").split()
    declared = {re.split(r"[<>=\[;]", requirement)[0].lower() for requirement in requires}
    used = set().union(*(third_party_imports(tree.text_of(path), path) for path in tree.modules()))
    assert {DISTRIBUTIONS.get(name, name).lower() for name in used} <= declared


@pytest.mark.parametrize(
    ("path", "snippet"),
    [
        ("simulator/core/units.py", "import simulator.workload.batch"),
        ("simulator/core/units.py", "from simulator.kernels import aim"),
        ("simulator/core/units.py", "from simulator import workload"),
        ("simulator/core/units.py", "import simulator"),
        ("simulator/core/units.py", "def f():\n    from simulator.experiments.run import run_command"),
        ("simulator/kernels/aim.py", "from ..core import errors"),
        ("simulator/kernels/__init__.py", "from .. import core"),
        (
            "simulator/workload/model.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import simulator.contracts",
        ),
        ("simulator/serving/engine.py", "from simulator.systems import cent"),
        ("simulator/systems/cent.py", "from simulator.kernels import aim"),
        ("simulator/report/tables.py", "from simulator.workload.batch import Batch"),
        ("simulator/experiments/run.py", "from simulator.cli import main"),
        ("simulator/cli/run.py", "from simulator.contracts.results import Table"),
        ("simulator/unheard/of.py", "x = 1"),
    ],
)
def test_a_wrong_import_is_found(path: str, snippet: str) -> None:
    assert layer_violations(snippet, path)


@pytest.mark.parametrize(
    ("path", "snippet"),
    [
        ("simulator/contracts/system.py", "from simulator.workload.batch import Batch"),
        ("simulator/experiments/run.py", "from simulator.serving import engine"),
        ("simulator/kernels/aim.py", "from . import schedule\nimport numpy as np"),
        ("simulator/__init__.py", "def run():\n    from simulator.experiments.run import run_command"),
        ("simulator/cli/main.py", "from simulator import __version__"),
    ],
)
def test_a_right_import_passes(path: str, snippet: str) -> None:
    assert layer_violations(snippet, path) == []


@pytest.mark.parametrize(
    ("path", "snippet"),
    [
        ("simulator/kernels/aim.py", "import simpy"),
        ("simulator/kernels/aim.py", "from dataclasses import dataclass"),
        ("simulator/kernels/aim.py", "def f(x):\n    print(x)"),
        ("simulator/kernels/aim.py", "import numpy as np\ndef f():\n    return np.random.rand()"),
        ("simulator/devices/stack.py", "from numba import njit"),
        ("simulator/devices/stack.py", "def f():\n    import numba.typed"),
    ],
)
def test_a_wrong_kernel_is_found(path: str, snippet: str) -> None:
    assert kernel_violations(snippet, path)

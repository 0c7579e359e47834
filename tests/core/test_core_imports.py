"""What every command imports stays light: errors load none but the standard library's smallest modules."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("numpy", "numba", "pandas", "matplotlib", "simpy", "pyarrow", "pydantic", "yaml", "importlib.metadata")


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("errors", ()),
        ("energy", ()),
        ("units", ()),
        ("config", ("yaml",)),
        ("resolved", ("yaml",)),
        ("parameters", ()),
        ("registry", ("importlib.metadata",)),
        ("seeds", ("numpy",)),
        ("binding", ("yaml", "pydantic", "importlib.metadata")),
    ],
)
def test_modules_load_only_what_they_need(module: str, allowed: tuple[str, ...]) -> None:
    code = f"import sys, simulator.core.{module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [name for name in HEAVY if name in loaded and name not in allowed and not _of(name, allowed)] == []


def _of(name: str, allowed: tuple[str, ...]) -> bool:
    # numpy and pydantic bring importlib.metadata with them in some versions.
    return name == "importlib.metadata" and bool({"numpy", "pydantic"} & set(allowed))

"""Which layer may import which: the table of the design as data, and the walk over the syntax trees that proves it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

PACKAGE = "simulator"

# A layer may also import itself. ROOT is simulator/__init__.py, the Python API.
ROOT = ""
_MACHINE = {"memory", "devices", "systems", "serving", "report"}
_DATA = {"workload", "contracts", "kernels", "numerics", "core"}
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "kernels": set(),
    "workload": {"core"},
    "contracts": {"workload", "core"},
    "numerics": {"workload", "kernels", "core"},
    "memory": {"kernels", "contracts", "core"},
    "devices": {"memory", "kernels", "contracts", "workload", "core"},
    "serving": {"contracts", "workload", "kernels", "core"},
    "systems": {"devices", "memory", "numerics", "contracts", "workload", "core"},
    "report": {"contracts", "core"},
    "experiments": _MACHINE | _DATA,
    "cli": {"experiments", "report", "core"},
    ROOT: _MACHINE | _DATA | {"experiments"},
}
# Types and protocols that a layer names only for the type checker obey the same table: no exception for TYPE_CHECKING.

# What a kernel may take from outside: nothing that has objects, text or randomness.
KERNEL_LIBRARIES = {"__future__", "math", "typing", "numpy", "numba", "llvmlite"}


def imported_modules(tree: ast.AST, module: str, *, is_package: bool = False) -> Iterator[tuple[int, str]]:
    """Line and absolute name of every import anywhere in a module; `from a import b` gives `a.b`."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - (node.level - 1)]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def module_name(path: PurePosixPath) -> str:
    """`simulator/core/errors.py` as `simulator.core.errors`."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    """The layer that a module of ours belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ROOT


def layer_violations(source: str, path: str) -> list[str]:
    """Imports of other layers that the table does not allow."""
    place = PurePosixPath(path)
    module = module_name(place)
    layer = layer_of(module)
    if layer not in MAY_IMPORT:
        return [f"{path}: the table knows no layer {layer!r}"]
    found = []
    for line, name in imported_modules(ast.parse(source), module, is_package=place.name == "__init__.py"):
        if name.split(".")[0] != PACKAGE or name == f"{PACKAGE}.__version__":
            continue
        target = layer_of(name)
        if target != layer and target not in MAY_IMPORT[layer]:
            found.append(f"{path}:{line}: {layer or PACKAGE} may not import {name}")
    return found


def kernel_violations(source: str, path: str) -> list[str]:
    """Imports, prints and random numbers that a kernel must not have; and numba outside the kernels."""
    place = PurePosixPath(path)
    module = module_name(place)
    tree = ast.parse(source)
    tops = [
        (line, name.split(".")[0])
        for line, name in imported_modules(tree, module, is_package=place.name == "__init__.py")
    ]
    if layer_of(module) != "kernels":
        return [f"{path}:{line}: numba outside the kernels" for line, top in tops if top == "numba"]
    # The package itself says where compiled kernels are kept, which takes the standard library.
    allowed = KERNEL_LIBRARIES | (set(sys.stdlib_module_names) if place.name == "__init__.py" else set())
    found = [
        f"{path}:{line}: a kernel may not import {top}" for line, top in tops if top not in allowed and top != PACKAGE
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("print", "open"):
            found.append(f"{path}:{node.lineno}: a kernel may not {node.func.id}")
        if isinstance(node, ast.Attribute) and node.attr == "random":
            found.append(f"{path}:{node.lineno}: a kernel may not draw random numbers")
    return found


def third_party_imports(source: str, path: str) -> set[str]:
    """Top names of the imports that are neither ours nor the standard library's."""
    place = PurePosixPath(path)
    names = imported_modules(ast.parse(source), module_name(place), is_package=place.name == "__init__.py")
    tops = {name.split(".")[0] for _, name in names}
    return {top for top in tops if top != PACKAGE and top not in sys.stdlib_module_names}

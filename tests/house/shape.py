"""What a module of ours looks like: its size, its docstrings, and what it must not hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

Function = ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
# Spelt apart, so that this file does not find itself.
_SPELT_APART = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK", "NotImplemented" + "Error")
_UNFINISHED = re.compile("|".join(rf"\b{word}\b" for word in _SPELT_APART))
_FORBIDDEN_STEMS = re.compile(r"(^|_)(utils?|helpers?|managers?|common|misc|stuff|v2|new)(_|$)")
_MACHINE_PATH = re.compile(r"(?<![\w.$}~*)/-])/(?:work|tmp|root|home|Users|workspace)/[\w.]")
_REGISTRY = re.compile("|".join(("index" + "-url", "find" + "-links", "trusted" + "-host")))
_TARGETS_FOLDER = "experiments" + "/targets"


def size_violations(source: str, path: str) -> list[str]:
    """Modules and functions that are too long; a docstring does not count as length of a function."""
    found = []
    n_lines = len(source.splitlines())
    if n_lines > MAX_MODULE_LINES:
        found.append(f"{path}: {n_lines} lines, more than {MAX_MODULE_LINES}")
    return found + [
        f"{path}:{node.lineno}: {node.name} has {length} lines, more than {MAX_FUNCTION_LINES}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, _FUNCTIONS) and (length := _function_lines(node)) > MAX_FUNCTION_LINES
    ]


def docstring_violations(source: str, path: str) -> list[str]:
    """Public modules, classes, functions and methods without a docstring."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else [f"{path}: the module has no docstring"]
    for name, node in _public(tree, ""):
        if not (ast.get_docstring(node) or "").strip():
            found.append(f"{path}:{node.lineno}: {name} has no docstring")
    return found


def unfinished_violations(source: str, path: str) -> list[str]:
    """Marks of unfinished work, and bodies that say nothing outside a Protocol or an overload."""
    found = [
        f"{path}:{number}: {match[0]}"
        for number, line in enumerate(source.splitlines(), start=1)
        if (match := _UNFINISHED.search(line))
    ]
    tree = ast.parse(source)
    excused = {
        id(item)
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and any("Protocol" in ast.unparse(base) for base in node.bases)
        for item in node.body
    }
    return found + [
        f"{path}:{node.lineno}: {node.name} has an empty body"
        for node in ast.walk(tree)
        if isinstance(node, _FUNCTIONS) and id(node) not in excused and _says_nothing(node)
    ]


def state_violations(source: str, path: str) -> list[str]:
    """Module state that a function changes."""
    return [
        f"{path}:{node.lineno}: global {', '.join(node.names)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Global)
    ]


def name_violations(path: str) -> list[str]:
    """Modules whose names say nothing."""
    stem = path.rsplit("/", 1)[-1].removesuffix(".py")
    return [f"{path}: {stem!r} says nothing of what the module does"] if _FORBIDDEN_STEMS.search(stem) else []


def target_violations(source: str, path: str) -> list[str]:
    """Readers of published results outside validation and figures."""
    if re.fullmatch(r"simulator/experiments/(validate|figure)\w*(/.+)?(\.py)?", path):
        return []
    if path.startswith(_TARGETS_FOLDER.join(("simulator/", "/"))):
        return []
    found = [
        f"{path}:{number}: mentions the published results"
        for number, line in enumerate(source.splitlines(), start=1)
        if _TARGETS_FOLDER in line or _TARGETS_FOLDER.replace("/", ".") in line
    ]
    if not path.endswith(".py"):
        return found
    return found + [
        f"{path}:{node.lineno}: names the folder of the published results"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.match(r"targets(/|$)", node.value)
    ]


def machine_violations(source: str, path: str) -> list[str]:
    """Paths of one machine, and settings that name a package registry."""
    return [
        f"{path}:{number}: {match[0]}"
        for number, line in enumerate(source.splitlines(), start=1)
        if (match := _MACHINE_PATH.search(line) or _REGISTRY.search(line))
    ]


def _function_lines(node: Function) -> int:
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    return length


def _public(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    for item in node.body:
        if not isinstance(item, (*_FUNCTIONS, ast.ClassDef)) or item.name.startswith("_"):
            continue
        if any("overload" in ast.unparse(one) or ".setter" in ast.unparse(one) for one in item.decorator_list):
            continue
        yield prefix + item.name, item
        if isinstance(item, ast.ClassDef):
            yield from _public(item, f"{prefix}{item.name}.")


def _says_nothing(node: Function) -> bool:
    if any("overload" in ast.unparse(one) for one in node.decorator_list):
        return False
    return all(
        isinstance(item, ast.Pass)
        or (isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant) and item.value.value is Ellipsis)
        for item in node.body
    )

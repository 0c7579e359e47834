"""Components by name: `kind: cent` is the class of module `cent` in a package of ours, or an outside entry point."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import re
from pathlib import Path
from typing import Any

from simulator.core.errors import ConfigError, Position
from simulator.core.spelling import did_you_mean

_KIND = re.compile(r"[a-z][a-z0-9_]{0,60}")
_CLASS = re.compile(r"^class\s+(\w+)", re.MULTILINE)


def load_kind(package: str, kind: str, *, group: str | None = None, where: Position | str | None = None) -> Any:
    """The class that `kind` names: in module `package.bank_gemv` the class `BankGemv`, case and underscores aside.

    Where the package has no such module, the entry point `kind` of `group` (by default the package's name) is loaded.
    Raises ConfigError, with the nearest kind, where there is neither.
    """
    group = package if group is None else group
    if _KIND.fullmatch(kind) and kind in _own_kinds(package):
        return _class_of(importlib.import_module(f"{package}.{kind}"), kind)
    for entry_point in importlib.metadata.entry_points(group=group, name=kind):
        return entry_point.load()
    raise ConfigError(
        f"unknown kind `{kind}`", where=where, remedy=did_you_mean(kind, list_kinds(package, group=group))
    )


def list_kinds(package: str, *, group: str | None = None) -> list[str]:
    """Every kind that `load_kind` would find, sorted, without importing any."""
    theirs = importlib.metadata.entry_points(group=package if group is None else group).names
    return sorted({*_own_kinds(package), *theirs})


def _own_kinds(package: str) -> set[str]:
    """Modules of a package that define (a subpackage: that exist for) the class of their name."""
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    return {
        module.name
        for module in pkgutil.iter_modules(folders)
        if _KIND.fullmatch(module.name) and (module.ispkg or _defines(folders, module.name))
    }


def _defines(folders: list[str], kind: str) -> bool:
    sources = (Path(folder) / f"{kind}.py" for folder in folders)
    texts = (source.read_text("utf-8") for source in sources if source.is_file())
    return any(_is_named(name, kind) for text in texts for name in _CLASS.findall(text))


def _class_of(module: Any, kind: str) -> Any:
    for name, member in vars(module).items():
        if isinstance(member, type) and _is_named(name, kind):
            return member
    raise ConfigError(f"module {module.__name__} has no class for kind `{kind}`", remedy="name the class as the kind")


def _is_named(name: str, kind: str) -> bool:
    return name.casefold() == kind.replace("_", "")

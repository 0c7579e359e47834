"""Models by name: the YAML files of `workloads/models`, whose stem is the model's id, and their aliases."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simulator.core.config import ConfigTree, load_part
from simulator.core.errors import ConfigError, WorkloadError
from simulator.core.spelling import did_you_mean
from simulator.workload.model import REQUIRED_FIELDS, ModelShapeError, ModelSpec, unknown_field

DISTRIBUTION = "memory-centric-simulator"
_ABOUT = ("source", "aliases")


def data_directory(name: str) -> Path:
    """The folder `workloads`, `traces` or `hw_configs`: of the source checkout, or else of the installed distribution.

    Raises WorkloadError where neither has it.
    """
    root = Path(__file__).resolve().parents[2]
    shared = Path("share") / DISTRIBUTION / name
    places = [root / shared, Path(sysconfig.get_path("data")) / shared]
    if (root / "setup.cfg").is_file():
        places.insert(0, root / name)
    for place in places:
        if place.is_dir():
            return place
    raise WorkloadError(
        f"the folder {name}/ that comes with the simulator is missing",
        where=str(places[0]),
        remedy="install the simulator from its source checkout (pip install -e .)",
    )


def load_model(reference: str | Path) -> ModelSpec:
    """The model of an id (`llama2-70b`), a Hugging Face name (`meta-llama/Llama-2-70b-hf`), a checkpoint that comes
    along (`tiny-llama`), or a file.

    A file is a shape YAML, or a `config.json` (or its folder) as Hugging Face repositories carry it. Raises
    WorkloadError (exit code 3) with file, line and column where there is no such model or its file is wrong.
    """
    text = str(reference)
    path = Path(reference)
    if path.suffix in (".yaml", ".yml"):
        return _from_yaml(path)
    if path.suffix == ".json" or (path / "config.json").is_file():
        return ModelSpec.from_hf(path)
    files = _files()
    if text in files:
        return _from_yaml(files[text])
    aliases = dict(_aliases(files))
    if text.casefold() in aliases:
        return _from_yaml(files[aliases[text.casefold()]])
    if text in (own := checkpoints()):
        return ModelSpec.from_hf(own[text])
    raise WorkloadError(
        f"there is no model {text!r}",
        where="workload.model",
        remedy=f"{did_you_mean(text, [*files, *aliases])}; a path of a shape YAML or a config.json will do too",
    )


def list_models() -> tuple[str, ...]:
    """Ids of all models that come with the simulator, sorted."""
    return tuple(_files())


def checkpoints() -> dict[str, Path]:
    """Folders of the trained models that come with the simulator, by name."""
    folder = data_directory("workloads") / "checkpoints"
    return {path.parent.name: path.parent for path in sorted(folder.glob("*/config.json"))}


def model_from_tree(tree: ConfigTree, name: str) -> ModelSpec:
    """The model whose fields a configuration tree holds, beside `source` and `aliases`.

    Raises WorkloadError at the place of an unknown field or an impossible value, and on a missing one.
    """
    if tree.node.mapping is None:
        raise WorkloadError(
            "a model is a mapping of its fields", where=tree.node.where, remedy="write `n_layers: 32` and so on"
        )
    values: dict[str, Any] = {}
    for key, node in tree.node.mapping.items():
        if key in _ABOUT:
            continue
        if key not in ModelSpec.__dataclass_fields__ or key == "name":
            raise unknown_field(key, node.key_where or node.where)
        values[key] = node.plain()
    missing = [field for field in REQUIRED_FIELDS if field not in values]
    if missing:
        raise WorkloadError(
            f"model {name!r} has no {missing[0]!r}", where=tree.node.where, remedy=f"add `{missing[0]}: ...`"
        )
    if isinstance(values.get("biases"), list):
        values["biases"] = tuple(values["biases"])
    try:
        return ModelSpec(name=name, **values)
    except ModelShapeError as error:
        place = tree.node.mapping.get(error.field, tree.node)
        raise ModelShapeError(error.message, field=error.field, where=place.where, remedy=error.remedy) from None


def _files() -> dict[str, Path]:
    folder = data_directory("workloads") / "models"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def _aliases(files: dict[str, Path]) -> Iterator[tuple[str, str]]:
    """(alias without regard to case, id) of all models."""
    for name, path in files.items():
        for alias in _tree(path).get("aliases", []):
            yield str(alias).casefold(), name


def _tree(path: Path) -> ConfigTree:
    # A bad model is a bad workload, whoever reads the text: its exit code is 3.
    try:
        return load_part(str(path))
    except ConfigError as error:
        raise WorkloadError(error.message, where=error.where, remedy=error.remedy) from None


def _from_yaml(path: Path) -> ModelSpec:
    return model_from_tree(_tree(path), path.stem)

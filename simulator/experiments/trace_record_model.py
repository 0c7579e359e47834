"""`sim trace record-model`: what a trained model attends to and computes with, as traces for the rest of the simulator.

Written are `attention_hits.npz` (positions that attention weighs most), `kv_accesses.npz` (lines of a paged KV cache
that decode steps read), `attention.csv` and `activations.csv` (by layer), and `manifest.json` (what it was made from,
and what each member and column means).
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.contracts.results import RunRecord, Table
from simulator.core.errors import WorkloadError
from simulator.experiments.trace_record_manifest import recording_manifest
from simulator.numerics.checkpoint import CONFIG, Checkpoint, find_checkpoint
from simulator.numerics.format_names import ModelFormats, model_formats
from simulator.numerics.recording.activations import GAPS, ActivationRecorder, SiteStatistics
from simulator.numerics.recording.attention import TOP_SIZES, AttentionRecorder, repeated_frac
from simulator.numerics.recording.observers import Observers
from simulator.numerics.transformer import Transformer
from simulator.report.provenance import file_checksum
from simulator.report.records import csv_text, json_text
from simulator.report.run_directory import RunTarget, default_run_path, run_target, whole_directory
from simulator.workload.access_writing import archive_column, new_file, write_accesses
from simulator.workload.accesses import LINE_BYTES, AccessStream, Clock
from simulator.workload.llm_accesses.config import LlmAccessConfig, LlmAccessError
from simulator.workload.llm_accesses.passes import LlmRun
from simulator.workload.llm_accesses.recorded import Recorded
from simulator.workload.llm_accesses.selection import Recent, Selection
from simulator.workload.llm_accesses.stream import llm_stream
from simulator.workload.tokens import TokenFile

DEFAULT_CHECKPOINT = "tiny-llama"
DEFAULT_TOKENS = "own_source"
DEFAULT_STEPS = 256
DEFAULT_TOP_K = 256

HITS, ACCESSES = "attention_hits.npz", "kv_accesses.npz"
ATTENTION, ACTIVATIONS = "attention.csv", "activations.csv"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True, eq=False)
class ModelRecordingPlan:
    """What to record: the model in `formats`, `texts` int[n_windows, T] of a token file from window `first_window` on,
    the last `n_steps` tokens of each as decode steps, `top_k` positions of each; whether the accesses are those of a
    `dense` attention or of these positions; and where to.
    """

    checkpoint: Checkpoint
    formats: ModelFormats
    tokens: TokenFile
    texts: NDArray[np.int64]
    first_window: int
    n_steps: int
    top_k: int
    dense: bool
    target: RunTarget

    @property
    def accesses(self) -> LlmAccessConfig:
        """The run whose accesses are written: a text is a sequence of the batch, and its cache in 16 bits."""
        n_windows, width = self.texts.shape
        return LlmAccessConfig(
            model=str(self.checkpoint.path),
            parts=("kv",),
            batch=n_windows,
            prompt_tokens=width - self.n_steps,
            n_steps=self.n_steps,
            per_kv_head=not self.dense,
        )


def plan_model_recording(
    checkpoint: str = DEFAULT_CHECKPOINT,
    *,
    tokens: str = DEFAULT_TOKENS,
    n_windows: int = 1,
    first_window: int = 0,
    window_tokens: int | None = None,
    format_name: str = "fp16",
    top_k: int | None = None,
    n_steps: int = DEFAULT_STEPS,
    out: str | Path | None = None,
) -> ModelRecordingPlan:
    """The plan that options in words say; without `top_k` the accesses are dense and 256 positions are recorded.

    `window_tokens` is the model's context by default; `out` a new or empty folder, by default one below results/.
    Raises ConfigError or WorkloadError for what cannot be, before the model runs.
    """
    formats = model_formats(format_name, where="--format")
    model = _opened(checkpoint)
    width = _width(model, window_tokens)
    if not 1 <= n_steps < width:
        raise WorkloadError(
            f"{n_steps:,} steps of texts of {width:,} tokens",
            where="--steps",
            remedy=f"give 1 to {width - 1:,}: the first token is there before any step",
        )
    file = TokenFile.read(tokens, where="--tokens")
    texts = file.windows(first_window, n_windows, width, n_key="--windows", vocab=model.shape.vocab)
    digest = hashlib.sha256(f"{model.path} {file.checksum} {format_name} {texts.shape} {first_window}".encode())
    digest.update(f"{n_steps} {top_k}".encode())
    plan = ModelRecordingPlan(
        checkpoint=model,
        formats=formats,
        tokens=file,
        texts=texts,
        first_window=first_window,
        n_steps=n_steps,
        top_k=min(top_k or DEFAULT_TOP_K, width),
        dense=top_k is None,
        target=run_target(out, default_run_path("record-model", model.shape.name, digest.hexdigest())),
    )
    _check_layout(plan)
    return plan


def record_model(plan: ModelRecordingPlan, command: Sequence[str] = ()) -> RunRecord:
    """Run the model and write the folder, whole or not at all; `command` is what the manifest says made it.

    Raises WorkloadError for weights or results that are not finite, ConfigError where the folder cannot be written.
    """
    shape = plan.checkpoint.shape
    n_windows, width = plan.texts.shape
    attention = AttentionRecorder(shape, n_windows, width, plan.n_steps, plan.top_k)
    activations = ActivationRecorder(shape)
    model = Transformer(plan.checkpoint, plan.formats, observer=Observers(attention, activations))
    for number, text in enumerate(plan.texts):
        if not np.isfinite(model.hidden(text)).all():
            raise WorkloadError(
                f"window {plan.first_window + number}: values of {shape.name} in {plan.formats.name!r} go beyond the "
                "range of a format",
                where="--format",
                remedy="use a format of a wider range for the activations or the KV cache",
            )
    selection = None if plan.dense else Recorded(attention.hits, shape.n_kv_heads)
    stream = _stream(plan.accesses, selection)
    tables = {ATTENTION: attention_table(attention), ACTIVATIONS: activation_table(activations.statistics())}
    checksums = {**_model_checksums(plan.checkpoint), str(plan.tokens.path): plan.tokens.checksum}
    with whole_directory(plan.target) as folder:
        _write_hits(folder / HITS, attention.members())
        write_accesses(folder / ACCESSES, stream)
        for name, table in tables.items():
            (folder / name).write_text(csv_text(table), encoding="utf-8")
        sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
        written = {name: file_checksum(folder / name) for name in sizes}
        manifest = recording_manifest(command, _about(plan, stream), checksums, written)
        (folder / MANIFEST).write_text(json_text(manifest), encoding="utf-8")
    return _record(plan, stream, tables[ATTENTION], sizes)


def attention_table(attention: AttentionRecorder) -> Table:
    """Concentration of attention by layer: means over heads and steps."""
    repeated = repeated_frac(attention.positions, attention.window).mean(axis=1)
    top = attention.top_mass.mean(axis=(1, 2), dtype=np.float64)
    means = [
        values.mean(axis=(1, 2), dtype=np.float64)
        for values in (attention.effective_tokens, attention.recent_mass, attention.mass)
    ]
    columns = (
        "layer", "effective_tokens", "mass_of_last_64", *(f"mass_of_top_{size}" for size in TOP_SIZES),
        "mass_of_recorded", "repeated_frac",
    )  # fmt: skip
    rows = [
        (layer, float(means[0][layer]), float(means[1][layer]), *map(float, top[layer]), float(means[2][layer]),
         None if np.isnan(repeated[layer]) else float(repeated[layer]))
        for layer in range(len(top))
    ]  # fmt: skip
    return Table(columns, rows)


def activation_table(statistics: Sequence[SiteStatistics]) -> Table:
    """Statistics of the matrices' inputs, a row for each layer and site."""
    plain = [field.name for field in fields(SiteStatistics) if field.name != "gap_frac"]
    rows = []
    for one in statistics:
        values = [getattr(one, name) for name in plain]
        rows.append([None if value != value else value for value in values] + list(one.gap_frac))
    return Table((*plain, *(f"gap_{gap}_frac" for gap in GAPS)), rows)


def _opened(checkpoint: str) -> Checkpoint:
    try:
        return Checkpoint.open(find_checkpoint(checkpoint))
    except WorkloadError as error:
        if error.where == "workload.checkpoint":
            error.where = "CHECKPOINT"
        raise


def _width(model: Checkpoint, window_tokens: int | None) -> int:
    most = model.shape.max_context
    width = window_tokens or most
    if width > most:
        raise WorkloadError(
            f"windows of {width:,} tokens, and {model.shape.name} has {most:,} positions",
            where="--window-tokens",
            remedy=f"use at most {most:,}",
        )
    return width


def _check_layout(plan: ModelRecordingPlan) -> None:
    """Refuse a cache that cannot be laid out in lines, before the model runs."""
    try:
        LlmRun(plan.accesses, 1, None if plan.dense else Recent(plan.checkpoint.shape.n_kv_heads))
    except LlmAccessError as error:
        raise WorkloadError(
            error.message, where=str(plan.checkpoint.path / CONFIG), remedy="record a model with wider heads"
        ) from None


def _stream(config: LlmAccessConfig, selection: Selection | None) -> AccessStream:
    """The accesses, which take no time of their own, as in a run of `workload.llm`."""
    stream = llm_stream(config, selection=selection)
    return replace(stream, clock=Clock(np.zeros(2, np.int64), max(1, stream.n_records), "ps"))


def _model_checksums(checkpoint: Checkpoint) -> dict[str, str]:
    """SHA-256 of the checkpoint's files by path."""
    files = {checkpoint.path / CONFIG, *(tensor.file for tensor in checkpoint.stored.values())}
    return {str(file): file_checksum(file) for file in sorted(files)}


def _write_hits(path: Path, members: Mapping[str, NDArray[Any]]) -> None:
    with new_file(path) as stream, zipfile.ZipFile(stream, "w") as archive:
        for name, values in members.items():
            archive_column(archive, name, values)


def _about(plan: ModelRecordingPlan, stream: AccessStream) -> dict[str, Any]:
    """What was recorded, for the manifest."""
    shape = plan.checkpoint.shape
    n_windows, width = plan.texts.shape
    return {
        "model": {
            "name": shape.name, "n_layers": shape.n_layers, "n_heads": shape.n_heads, "n_kv_heads": shape.n_kv_heads,
            "head_dim": shape.head_dim,
        },
        "format": plan.formats.name,
        "tokens": str(plan.tokens.path),
        "windows": {"first": plan.first_window, "n": n_windows, "tokens_each": width},
        "n_steps_of_each_window": plan.n_steps,
        "positions_of_each_step": plan.top_k,
        "kv_accesses": {
            "attention": "dense" if plan.dense else "recorded positions",
            "batch": n_windows,
            "block_tokens": plan.accesses.block_tokens,
            "kv_layout": plan.accesses.kv_layout,
            "lines_per_record": stream.lines_per_record,
            "n_records": stream.n_records,
            "n_pages": stream.n_pages,
        },
    }  # fmt: skip


def _record(plan: ModelRecordingPlan, stream: AccessStream, attention: Table, sizes: Mapping[str, int]) -> RunRecord:
    n_windows, width = plan.texts.shape
    read = "all positions" if plan.dense else f"the {plan.top_k:,} heaviest positions of each KV head"
    metrics: dict[str, int | float] = {
        "n_windows": n_windows,
        "n_steps": n_windows * plan.n_steps,
        "n_records": stream.n_records,
        "n_pages": stream.n_pages,
        "kv_mib_per_step": stream.n_records * stream.lines_per_record * LINE_BYTES / plan.n_steps / 2**20,
        "folder_bytes": sum(sizes.values()),
    }
    where = plan.target.name
    return RunRecord(
        system=plan.formats.name,
        workload=plan.checkpoint.shape.name,
        metrics=metrics,
        headlines=(
            f"{where}: {plan.checkpoint.shape.name} on {n_windows} window{'s' * (n_windows > 1)} of {width:,} tokens, "
            f"the last {plan.n_steps:,} of each as decode steps",
            f"{ACCESSES}: {stream.n_records:,} records of {stream.lines_per_record} lines, {stream.n_pages:,} pages; "
            f"a step reads {read}",
        ),
        notes=("the KV cache is laid out in 16 bits a value, whatever the format of keys and values",),
        key_metrics=("n_steps", "n_records", "n_pages"),
        tables={"attention_by_layer": attention},
        shown_tables=("attention_by_layer",),
    )

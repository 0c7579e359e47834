"""From a configuration of workload kind `accuracy` to its system, its checkpoint and its windows of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from simulator.core.binding import bind
from simulator.core.config import ConfigTree
from simulator.core.errors import ConfigError, Position, SimulatorError, WorkloadError
from simulator.experiments.accuracy_subject import ModelOnText, Windows
from simulator.experiments.settings import RunConfig, bound_system, check_kind
from simulator.numerics.accuracy import Scope
from simulator.numerics.attention import AttentionRule, attention_rule
from simulator.numerics.checkpoint import CONFIG, Checkpoint, find_checkpoint
from simulator.numerics.format_names import model_formats
from simulator.report.provenance import file_checksum
from simulator.workload.accuracy_config import AccuracyWorkload
from simulator.workload.tokens import TokenFile

KIND = "accuracy"
CALIBRATION_WORK = 1 << 37
"""Pairs of a parameter and a token that one try of a search may take: a second or two."""
EVALUATION_TOKENS = 1 << 15
"""Tokens at the start of a file that a search does not look at: they are for the evaluation."""


@dataclass(frozen=True)
class AccuracySettings:
    """A run's configuration, bound and checked: the resolved tree, the workload, seed and the system's class."""

    tree: ConfigTree
    workload: AccuracyWorkload
    seed: int
    error_bars: bool
    system_class: Any
    system_config: BaseModel

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The model, opened. Raises WorkloadError."""
        return Checkpoint.open(self._folder())

    def _folder(self) -> Path:
        try:
            return find_checkpoint(self.workload.checkpoint)
        except WorkloadError as error:
            error.where = self.where("checkpoint")
            raise

    @cached_property
    def tokens(self) -> TokenFile:
        """The file of tokens. Raises WorkloadError."""
        return TokenFile.read(self.workload.tokens, where=self.where("tokens"))

    @property
    def workload_name(self) -> str:
        """The checkpoint and the format, in a word."""
        name = Path(self.workload.checkpoint).resolve().name if "/" in self.workload.checkpoint else None
        return f"{name or self.workload.checkpoint}-{self.workload.format or KIND}"

    def checksums(self) -> Mapping[str, str]:
        """SHA-256 of the checkpoint's files and of the tokens, by path."""
        return {**self._model_checksums, str(self.tokens.path): self.tokens.checksum}

    @cached_property
    def _model_checksums(self) -> Mapping[str, str]:
        files = {Path(tensor.file) for tensor in self.checkpoint.stored.values()}
        return {str(file): file_checksum(file) for file in sorted(files | {self.checkpoint.path / CONFIG})}

    def system(self) -> Any:
        """The system. Raises ConfigError where its sections do not go together."""
        return self.system_class(self.system_config, self.checkpoint.shape)

    def subject(self) -> ModelOnText:
        """The model and its windows. Raises WorkloadError where there are not so many tokens."""
        workload, width = self.workload, self.window_tokens
        scope = Scope(
            reference_windows=min(workload.reference_windows, workload.n_windows),
            prompt_tokens=min(workload.prompt_tokens, width - 1),
            greedy_tokens=min(workload.greedy_tokens, width - 1),
        )
        return ModelOnText(
            checkpoint=self.checkpoint,
            format=workload.format,
            attention=self._attention(),
            windows=self._windows(workload.first_window, workload.n_windows, width, "n_windows"),
            calibration=self._calibration(width),
            scope=scope,
        )

    def _attention(self) -> AttentionRule | None:
        """The rule that the workload names; None is the model's own."""
        given = self.workload.attention
        if given == "dense":
            return None
        fields = {"kind": given} if isinstance(given, str) else dict(given)
        where = self.where("attention")
        kind = fields.pop("kind", None)
        if not isinstance(kind, str):
            raise ConfigError("the attention rule has no kind", where=where, remedy="write `kind: top_k`, say")
        return attention_rule(kind, where=where, **fields)

    @property
    def window_tokens(self) -> int:
        """Tokens of a window. Raises WorkloadError for more than the model has positions for."""
        most = self.checkpoint.shape.max_context
        width = self.workload.window_tokens or most
        if width > most:
            raise WorkloadError(
                f"windows of {width:,} tokens, and {self.checkpoint.shape.name} has {most:,} positions",
                where=self.where("window_tokens"),
                remedy=f"use at most {most:,}",
            )
        return width

    def where(self, key: str) -> Position | str | None:
        """Where a key of the workload was written."""
        path = f"workload.{key}"
        return self.tree.position(path) if path in self.tree else path

    def _windows(self, first: int, n: int, width: int, n_key: str) -> Windows:
        try:
            return self.tokens.windows(first, n, width, n_key=f"workload.{n_key}", vocab=self.checkpoint.shape.vocab)
        except SimulatorError as error:
            if error.where == f"workload.{n_key}":
                error.where = self.where(n_key)
            raise

    def _calibration(self, width: int) -> Windows:
        """The windows that a search looks at; none where the file has none left and nobody asked for any."""
        workload = self.workload
        first = workload.calibration_first
        if first is None:
            first = -(-EVALUATION_TOKENS // width)
        n = workload.calibration_windows
        if n is None:
            affordable = max(1, CALIBRATION_WORK // (self.checkpoint.shape.n_params * width))
            there = len(self.tokens.tokens) // width - first
            n = min(1 << (affordable.bit_length() - 1), there)
            if n <= 0:
                return np.empty((0, width), np.int64)
        return self._windows(first, n, width, "calibration_windows")


def bound_accuracy_settings(tree: ConfigTree, config: str | Path) -> AccuracySettings:
    """Bind a configuration of this kind. Raises ConfigError or WorkloadError at the place that is wrong."""
    bound = bound_system(tree, config)
    section = tree.at("workload")
    check_kind(bound, section, KIND)
    run = bind(tree.at("run"), RunConfig) if "run" in tree else RunConfig()
    workload = bind(section, AccuracyWorkload)
    if workload.format is not None:
        model_formats(workload.format, where=section.position("format"))
    return AccuracySettings(
        tree=tree,
        workload=workload,
        seed=run.seed,
        error_bars=run.error_bars,
        system_class=bound.system_class,
        system_config=bound.config,
    )

"""Splitwise's whole steps: prompt and token times of Llama2-70B and BLOOM-176B on DGX A100 and H100, host included.

Measured: vLLM of 2023 (eager, host-bound in decode), milliseconds, five runs per setting; here the median of a
setting's runs. prompt_time is the prefill of `batch_size` prompts of `prompt_size`, token_time the mean over the
`token_size` tokens that follow, so the mean context is prompt_size + token_size / 2. A lower-bound check of a GPU
model, no test of its roofs: the host adds to every decode step (token times of TP4 and TP8 are the same).

Columns: model, hardware, prompt_size, batch_size, token_size, tensor_parallel, prompt_time, token_time, average_power
(of a card over its limit, mean of the whole run; 0 is not measured), and peak_power and e2e_time, which are not read.

Cleaning, with the counts of the published file of 1,260 lines: 420 of h100-80gb-pcap are left out (no measurement:
prompt times are those of h100-80gb times 1.3, token times the same); 10 of Llama2-70B at TP2 and batch 64 are left out
(two settings, A100 and H100: the prompt times of 794 and 361 ms are a tenth of batch 32's 6,633 and 2,398, so the batch
cannot have run whole).

Source: Mutinifni/splitwise-sim (commit 8f99e7dc), `data/perf_model.csv`, licence MIT; Patel et al., ISCA 2024.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

from simulator.experiments.gpu_profiles.rows import Dropped, GpuProfile, StepRow
from simulator.experiments.gpu_profiles.table import ProfileLine, table

NAME = "splitwise"
FOLDER = "splitwise"
_CARDS = {"a100-80gb": "a100_80", "h100-80gb": "h100"}
_SCALED = "h100-80gb-pcap"
_MODELS = ("llama2-70b", "bloom-176b")
_SIZES = ("tensor_parallel", "batch_size", "prompt_size", "token_size")
_COLUMNS = ("model", "hardware", *_SIZES, "average_power", "prompt_time", "token_time")


class _Setting(NamedTuple):
    model: str
    gpu: str
    tp: int
    batch: int
    prompt: int
    tokens: int


class _Run(NamedTuple):
    prompt_ms: float
    token_ms: float
    power_frac: float


def read(folder: Path) -> GpuProfile:
    """Steps of `perf_model.csv` in `folder`; WorkloadError, with file and line, on text not as published."""
    runs: defaultdict[_Setting, list[_Run]] = defaultdict(list)
    dropped: Counter[str] = Counter()
    for line in table(folder / "perf_model.csv", _COLUMNS):
        setting, run = _measurement(line)
        reason = _defect(line, setting)
        if reason:
            dropped[reason] += 1
        else:
            runs[setting].append(run)
    steps = [step for setting, measured in sorted(runs.items()) for step in _steps(setting, measured)]
    return GpuProfile(NAME, steps=tuple(steps), dropped=tuple(Dropped(n, why) for why, n in sorted(dropped.items())))


def _measurement(line: ProfileLine) -> tuple[_Setting, _Run]:
    model = line.choice("model", _MODELS)
    hardware = line.choice("hardware", (*_CARDS, _SCALED))
    sizes = (line.count(name, least=1) for name in _SIZES)
    run = _Run(line.positive("prompt_time"), line.positive("token_time"), line.number("average_power"))
    return _Setting(model, _CARDS.get(hardware, hardware), *sizes), run


def _defect(line: ProfileLine, setting: _Setting) -> str:
    """Why a line is no measurement of its setting; empty where it is one."""
    if line.text("hardware") == _SCALED:
        return "h100-80gb-pcap: the prompt times of h100-80gb times 1.3, not measured"
    if (setting.model, setting.tp, setting.batch) == ("llama2-70b", 2, 64):
        return "llama2-70b at TP2 and batch 64: faster than batch 32, the batch cannot have run whole"
    return ""


def _steps(setting: _Setting, runs: list[_Run]) -> tuple[StepRow, StepRow]:
    """The prefill and the decode step of one setting."""
    powers = [run.power_frac for run in runs if run.power_frac > 0]
    power = statistics.median(powers) if powers else None
    prompt_ms = statistics.median(run.prompt_ms for run in runs)
    token_ms = statistics.median(run.token_ms for run in runs)
    model, gpu, tp, batch, prompt, tokens = setting
    return (
        StepRow(model, gpu, tp, "prefill", batch, prompt, prompt_ms, power),
        StepRow(model, gpu, tp, "decode", batch, prompt + tokens // 2, token_ms, power),
    )

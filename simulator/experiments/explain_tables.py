"""An explanation as the object of `--json`, and as text of 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from simulator.contracts.results import Scalar, Table
from simulator.experiments.explain import Explanation
from simulator.experiments.explain_operators import OperatorShare
from simulator.experiments.sensitivity import Change, ParameterEffect, Sensitivity
from simulator.report.printing import show_table
from simulator.report.wording import number

_WIDTH = 80
_LEAST_SHOWN_FRAC = 0.01
_LEAST_LISTED_FRAC = 0.001
_N_PARAMETERS_SHOWN = 15
_LONGEST_NAME = 27
_PS_PER_MS = 1e9


def explanation_object(found: Explanation) -> dict[str, Any]:
    """The object of `--json`: a run's keys (`metrics`, `breakdown`, ...), and rows of operators, path and parameters.

    `critical_path` times in ps are whole numbers that sum to `latency_ps`.
    """
    content: dict[str, Any] = {
        "system": found.system,
        "workload": found.workload,
        "metrics": {
            "latency_ps": found.latency_ps,
            "latency_ms": found.latency_ps / _PS_PER_MS,
            "latency_per_step_ms": found.latency_ps / found.n_steps / _PS_PER_MS,
            "interval_ms": found.interval_ps / _PS_PER_MS,
            "n_steps": found.n_steps,
            "n_in_flight": found.n_in_flight,
        },
        "breakdown": {
            "critical_time_by_operator_ms": _sums((part.operator, part.time_ps) for part in found.critical),
            "critical_time_by_resource_ms": _sums((part.resource, part.time_ps) for part in found.critical),
            "bound_by_operator": {
                share.operator: share.constraint for share in found.operators if share.constraint is not None
            },
        },
        "run_dir": found.run_dir,
        "what": found.what,
        "operators": [_operator_object(share) for share in found.operators],
        "critical_path": [
            {
                "operator": part.operator,
                "resource": part.resource,
                "time_ps": part.time_ps,
                "time_ms": part.time_ps / _PS_PER_MS,
                "latency_frac": part.time_ps / found.latency_ps,
                "n_tasks": part.n_tasks,
            }
            for part in found.critical
        ],
        "path": found.path,
        "limits": list(found.limits),
        "notes": list(found.notes),
    }
    if found.sensitivity is not None:
        content["sensitivity"] = _sensitivity_object(found.sensitivity)
    return content


def explanation_text(stream: TextIO, found: Explanation, *, whole: bool) -> None:
    """Print an explanation; `whole` leaves no operator out and gives each its advice."""
    stream.write(f"{found.system}  |  {found.workload}\n")
    _paragraph(stream, _headline(found))
    shown = [share for share in found.operators if whole or share.latency_frac >= _LEAST_SHOWN_FRAC]
    title = "What bound each operator" + (", mean of a step" if found.n_steps > 1 else "")
    _write_table(stream, title, _operators_table(shown, found))
    left_out = len(found.operators) - len(shown)
    if left_out:
        _paragraph(
            stream,
            f"{left_out} operators below {_LEAST_SHOWN_FRAC:.0%} are left out; --operator NAME and --json have them",
            indent="  ",
        )
    stream.write("\nIn words\n")
    for share in shown:
        text = share.sentence if whole else share.summary
        if share.contexts:
            text += f" Bound by {share.contexts}."
        _paragraph(stream, f"{share.operator}: {text}", indent="  ", later="    ")
    if not whole:
        stream.write("\nWhat would help\n")
        for line in _remedies(found.operators):
            _paragraph(stream, line, indent="  ", later="    ")
        stream.write("\nCritical path (of the longest step)\n")
        _paragraph(stream, found.path, indent="  ")
        _lines(stream, "The machine", found.limits)
    if found.sensitivity is not None:
        _sensitivity_text(stream, found.sensitivity)
    _lines(stream, "Notes", found.notes)


def _headline(found: Explanation) -> str:
    time_ms = found.latency_ps / _PS_PER_MS
    time = f"{time_ms / 1e3:,.3f} s" if time_ms >= 1e4 else f"{number(time_ms)} ms"
    return f"{found.what}: {time}" + (f", {found.n_steps:,} steps one after another" if found.n_steps > 1 else "")


def _remedies(shares: Sequence[OperatorShare]) -> Iterator[str]:
    """Each constraint with the part of the latency that it bounds, and what would loosen it; those that bound most
    first."""
    bounded: dict[str, float] = {}
    remedies: dict[str, str] = {}
    for share in shares:
        if share.constraint is not None:
            bounded[share.constraint] = bounded.get(share.constraint, 0.0) + share.latency_frac
            remedies[share.constraint] = share.remedy
    for constraint, fraction in sorted(bounded.items(), key=lambda entry: -entry[1]):
        if fraction >= _LEAST_LISTED_FRAC:
            yield f"{constraint} (bounds {fraction:.1%} of the latency): {remedies[constraint]}"


def _operators_table(shares: Sequence[OperatorShare], found: Explanation) -> Table:
    rows: list[tuple[Scalar, ...]] = []
    for share in shares:
        reached = f"{share.achieved / share.peak:4.0%}" if share.achieved is not None and share.peak else "-"
        second = share.second
        hidden = share.busy_ps > share.critical_ps
        rows.append(
            (
                share.operator + (" (overlapped)" if hidden else ""),
                share.critical_ps / found.n_steps / _PS_PER_MS,
                f"{share.latency_frac:6.1%}",
                share.constraint or "-",
                reached,
                f"{second[0]} {second[1]:.0%}" if second else "-",
            )
        )
    return Table(("operator", "time_ms", "share", "bound by", "of peak", "then"), rows)


def _sensitivity_text(stream: TextIO, found: Sensitivity) -> None:
    shown = found.effects[:_N_PARAMETERS_SHOWN]
    names = _unique_ends([effect.path for effect in found.effects])
    rows = [row for effect in shown for row in _effect_rows(names[effect.path], effect)]
    columns = ("parameter", "value", "change", "latency", "throughput", "energy")
    _write_table(stream, f"Each parameter by {found.change_frac:.0%}, alone", Table(columns, rows))
    text = (
        f"of {found.scope}: {number(found.latency_ms)} ms, {number(found.throughput_per_s)} per s, "
        f"{number(found.energy_mj)} mJ. Most influence first; whole numbers move by one at least, and are ranked as if "
        f"by {found.change_frac:.0%}."
    )
    _paragraph(stream, text, indent="  ")
    left_out = len(found.effects) - len(shown)
    if left_out:
        _paragraph(
            stream,
            f"{left_out} more parameters have less influence; --json has them all, with whole paths",
            indent="  ",
        )
    if found.without_effect:
        text = f"No effect here: {_grouped(found.without_effect)}"
        _paragraph(stream, text, indent="  ", later="    ")
    if found.refused:
        refusals = [f"{_short(effect.path)} = {effect.value}: {effect.refused}" for effect in found.refused]
        _lines(stream, "Parameters that the model does not let change", refusals)


def _unique_ends(paths: Sequence[str]) -> dict[str, str]:
    """For each path the shortest end, of two keys at least, that no other one has."""
    found = {}
    for path in paths:
        keys = path.split(".")
        ends = [".".join(keys[first:]) for first in range(max(0, len(keys) - 2), -1, -1)]
        taken = [end for end in ends if sum(other == end or other.endswith("." + end) for other in paths) == 1]
        end = taken[0] if taken else path
        found[path] = end if len(end) <= _LONGEST_NAME else "..." + end[3 - _LONGEST_NAME :]
    return found


def _effect_rows(label: str, effect: ParameterEffect) -> Iterator[tuple[Scalar, ...]]:
    first = True
    for change in (effect.down, effect.up):
        name, value = (label, effect.value) if first else ("", "")
        if change.reason is not None:
            yield (name, value, _by(change), "refused", "", "")
        else:
            effects = (change.latency_frac, change.throughput_frac, change.energy_frac)
            yield (name, value, _by(change), *(_signed(one) for one in effects))
        first = False


def _by(change: Change) -> str:
    return f"to {change.value}" if change.change_frac is None else f"{change.change_frac:+.1%}"


def _signed(value: float | None) -> str:
    if value is None:
        return "-"
    return "0" if abs(value) < 5e-7 else f"{value:+.4%}" if abs(value) < 0.001 else f"{value:+.2%}"


def _grouped(paths: Sequence[str]) -> str:
    """Parameters by the component that they belong to, its name written once."""
    groups: dict[str, list[str]] = {}
    for path in paths:
        parent, _, name = _short(path).rpartition(".")
        groups.setdefault(parent, []).append(name)
    return "; ".join((f"{parent}: " if parent else "") + ", ".join(names) for parent, names in groups.items())


def _short(path: str) -> str:
    return path.removeprefix("system.")


def _operator_object(share: OperatorShare) -> dict[str, Any]:
    second = share.second
    return {
        "operator": share.operator,
        "resource": share.resource,
        "busy_ms": share.busy_ps / _PS_PER_MS,
        "critical_ms": share.critical_ps / _PS_PER_MS,
        "latency_frac": share.latency_frac,
        "bound": share.constraint,
        "achieved": share.achieved,
        "peak": share.peak,
        "unit": share.unit,
        "second_bound": second[0] if second else None,
        "second_frac": second[1] if second else None,
        "shares": share.shares,
        "contexts": share.contexts or None,
        "knobs": list(share.knobs),
        "sentence": share.sentence,
    }


def _sensitivity_object(found: Sensitivity) -> dict[str, Any]:
    return {
        "change_frac": found.change_frac,
        "scope": found.scope,
        "latency_ms": found.latency_ms,
        "throughput_per_s": found.throughput_per_s,
        "energy_mj": found.energy_mj,
        "parameters": [
            {
                "path": effect.path,
                "value": effect.value,
                "influence_frac": effect.influence,
                "down": _change_object(effect.down),
                "up": _change_object(effect.up),
            }
            for effect in found.effects
        ],
        "refused": [{"path": effect.path, "value": effect.value, "reason": effect.refused} for effect in found.refused],
        "without_effect": list(found.without_effect),
    }


def _change_object(change: Change) -> dict[str, Any]:
    return {
        "value": change.value,
        "change_frac": change.change_frac,
        "latency_frac": change.latency_frac,
        "throughput_frac": change.throughput_frac,
        "energy_frac": change.energy_frac,
        "refused": change.reason,
    }


def _sums(parts: Any) -> dict[str, float]:
    """Times in ps by name, added up exactly and given in ms."""
    totals: dict[str, int] = {}
    for name, time_ps in parts:
        totals[name] = totals.get(name, 0) + time_ps
    return {name: total / _PS_PER_MS for name, total in totals.items()}


def _write_table(stream: TextIO, title: str, table: Table) -> None:
    stream.write("\n")
    show_table(stream, title, table, as_json=False)


def _lines(stream: TextIO, title: str, lines: Sequence[str]) -> None:
    if lines:
        stream.write(f"\n{title}\n")
    for line in lines:
        _paragraph(stream, f"* {line}", indent="  ", later="    ")


def _paragraph(stream: TextIO, text: str, *, indent: str = "", later: str | None = None) -> None:
    lines = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=indent if later is None else later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    stream.write("\n".join(lines) + "\n")

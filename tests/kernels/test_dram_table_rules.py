"""No command breaks a rule of its standard, says a checker that reads the standard by itself; and the checker sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.memory.dram.table_engine import simulate_table
from tests.kernels.dram_cases import STANDARDS, channel_logs, golden_case, golden_rows, load_dram, rule_checker
from tests.kernels.fuzz_dram import broken_rules, presets, random_case
from tests.twins.dram_rules import Log, RuleChecker, Violation

ROWS = {row["case"]: row for row in golden_rows()}


@pytest.mark.parametrize("standard", STANDARDS)
def test_random_runs_obey_their_standard(standard: str) -> None:
    for seed in range(5):
        case = random_case(standard, np.random.default_rng([seed, 77]), n_requests=600)
        assert not broken_rules(case), case.text


@pytest.mark.parametrize("standard", STANDARDS)
def test_the_checker_reads_the_same_rules(standard: str) -> None:
    """Two readings of one YAML: the rows that the kernel gets, and the checker's."""
    organisations, grades = presets(standard)
    for accounting in ("published", "corrected"):
        _, spec = load_dram(standard, org=organisations[-1], timing=grades[-1], accounting=accounting)
        levels = ("channel", *spec.levels)
        ours = {
            (levels[level], spec.commands[before], spec.commands[after], latency, window, bool(sibling))
            for level, before, after, latency, window, sibling in spec.rules.tolist()
        }
        checker = checker_of(standard, accounting)
        theirs = {
            (rule.level, rule.preceding, rule.following, rule.latency, rule.window, rule.sibling)
            for rule in checker.rules
        }
        assert ours == theirs


def checker_of(standard: str, accounting: str) -> RuleChecker:
    organisations, grades = presets(standard)
    _, spec = load_dram(standard, org=organisations[-1], timing=grades[-1], accounting=accounting)
    _, config, _ = golden_case(golden_rows()[0])
    return rule_checker(standard, spec, config)


def logged(case: str, n: int = 3000) -> tuple[RuleChecker, Log]:
    """A golden row's first requests and their commands."""
    row = ROWS[case] | {"n_requests": str(n)}
    spec, config, requests = golden_case(row)
    timing = simulate_table(spec, config, requests, log=True)
    assert timing.log is not None
    return rule_checker(row["standard"].lower(), spec, config), channel_logs(spec, requests, timing.log)[0]


@pytest.mark.parametrize("case", ["ddr4_2rank_burst4_mixed75", "lpddr5_2rank_random_mixed67"])
def test_published_rows_let_two_ranks_collide_on_the_data_bus(case: str) -> None:
    """A defect of the reference's rows: from a read to another rank's write they leave CL - CWL out."""
    checker, log = logged(case)
    assert not checker.violations(log)
    collisions = checker.data_collisions(log)
    assert {violation.command for violation in collisions} == {"WR"}


CASES = (
    "ddr4_random_mixed67_noref",
    "ddr5_burst8_mixed75",
    "lpddr5_random_mixed67",
    "gddr6_burst8_mixed75",
    "hbm2_perbank_random_mixed67",
    "hbm3_4Gb_perbank_burst8_mixed75",
)


@pytest.mark.parametrize("case", CASES)
def test_a_command_moved_ahead_is_found(case: str) -> None:
    """Most commands of a busy controller are as early as some rule allows: a tick earlier, that rule is named."""
    checker, log = logged(case, 300)
    rng = np.random.default_rng(5)
    found: list[Violation] = []
    for k in rng.integers(10, len(log.cyc), 30).tolist():
        cyc = log.cyc.copy()
        cyc[k] -= 1
        moved = [one for one in checker.violations(replace(log, cyc=cyc)) if one.early_by == 1]
        assert all(one.cyc == cyc[k] and one.command == log.command[k] for one in moved)
        found += moved[:1]
    assert len(found) > 10
    assert len({violation.rule for violation in found}) >= 4


def test_planted_violations_of_state_are_found() -> None:
    checker, log = logged("ddr4_random_mixed67_noref", 200)
    first = {name: int(np.flatnonzero(log.command == name)[0]) for name in ("ACT", "RD", "PREpb")}

    def without(k: int) -> list[str]:
        kept = np.arange(len(log.cyc)) != k
        shorter = Log(0, log.cyc[kept], log.command[kept], log.bank[kept], log.row[kept])
        return [violation.rule for violation in checker.violations(shorter)]

    assert "column command to a closed bank" in without(first["ACT"])
    assert "activation of an open bank" in without(first["PREpb"])
    other_row = log.row.copy()
    other_row[first["RD"]] += 1
    assert "column command to another row" in [one.rule for one in checker.violations(replace(log, row=other_row))]
    both = log.cyc.copy()
    both[21] = both[20]
    assert "one command per tick and bus" in [one.rule for one in checker.violations(replace(log, cyc=both))]


def test_a_refresh_of_an_open_bank_is_found() -> None:
    checker, log = logged("gddr6_burst8_mixed75", 2000)
    kept = np.arange(len(log.cyc)) != np.flatnonzero(log.command == "PREab")[0]
    shorter = Log(0, log.cyc[kept], log.command[kept], log.bank[kept], log.row[kept])
    assert "refresh of an open bank" in [violation.rule for violation in checker.violations(shorter)]


def test_a_fifth_activation_within_the_window_is_found() -> None:
    """Four activations a tick earlier than FAW allows a fifth, every other rule far away."""
    checker = checker_of("ddr4", "published")
    faw = checker.ticks("n_faw")
    cyc = np.array([100, 120, 140, 160, 99 + max(faw, 80)])
    if faw <= 80:  # spread so that only the window can bind
        cyc = 100 + np.array([0, faw // 4, faw // 2, 3 * faw // 4, faw - 1])
    log = Log(0, cyc.astype(np.int64), np.array(["ACT"] * 5), np.array([0, 4, 1, 5, 2]), np.arange(5))
    windows = [violation for violation in checker.violations(log) if "window 4" in violation.rule]
    assert [(violation.cyc, violation.early_by) for violation in windows] == [(int(cyc[4]), 1)]


def test_a_missing_cas_is_found() -> None:
    checker, log = logged("lpddr5_random_mixed67", 300)
    kept = np.arange(len(log.cyc)) != np.flatnonzero(np.char.startswith(log.command, "CAS"))[0]
    shorter = Log(0, log.cyc[kept], log.command[kept], log.bank[kept], log.row[kept])
    assert "column command without CAS" in [violation.rule for violation in checker.violations(shorter)]

"""Timings that no memory can have: refused before anything is simulated."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from simulator.memory.dram.refusal import KeyPath, PartRefusal

LONGEST_CYC = 1 << 30
"""Beyond any interval of a memory, and far from where sums of clocks would overflow."""

# (the timing that must not be less, the other one, why)
_AT_LEAST: tuple[tuple[str, str, str], ...] = (
    ("n_ras", "n_rcd", "a row would close before its columns may be used"),
    ("n_ras", "n_rcdrd", "a row would close before its columns may be read"),
    ("n_ras", "n_rcdwr", "a row would close before its columns may be written"),
    ("n_rc", "n_ras", "a row would open again before it may close"),
    ("n_rc", "n_rp", "a row would open again while its bank is precharged"),
    ("n_bl_max", "n_bl_min", "the longest burst would be shorter than the shortest"),
)
_ROUNDED = 0.03  # grades round their clock to whole picoseconds, and their rate
# (refresh interval, what it must leave time for, under which refresh)
_INTERVALS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("n_refi", "n_rfc", ("AllBank",)),
    ("n_refi", "n_rfcab", ("AllBank",)),
    ("n_refipb", "n_rrefd", ("PerBank", "HBM34PerBankRefresh")),
    ("n_refipb", "n_pbr2pbr", ("PerBank", "HBM34PerBankRefresh")),
)


def check_timing(
    timing: Mapping[str, int], speed_grade: str, overrides: Collection[str], preset: Collection[str], ticks_per_ck: int
) -> None:
    """Raise PartRefusal, at the override, grade or derived table that is to blame, for impossible timings."""

    def refuse(name: str, cause: str, remedy: str) -> None:
        raise PartRefusal(_place(name, speed_grade, overrides, preset), cause, remedy=remedy)

    for name, value in timing.items():
        if value < 0:
            refuse(name, f"{name} is {value}, and time is not negative", "give 0 or more")
        if value > LONGEST_CYC:
            refuse(name, f"{name} is {value}, more than any memory waits", f"give at most {LONGEST_CYC}")
    if timing["tck_ps"] < ticks_per_ck:
        refuse("tck_ps", f"a clock of {timing['tck_ps']} ps", f"give at least {ticks_per_ck} ps")
    if timing["rate"] < 1:
        refuse("rate", "a rate of 0", "give the transfers per second and pin in millions, such as 3200")
    for name in ("n_bl", "n_bl_min", "n_cl"):
        if timing.get(name, 1) < 1:
            refuse(name, f"{name} is 0", "give at least 1 clock")
    for longer, shorter, why in _AT_LEAST:
        if timing.get(longer, LONGEST_CYC) < timing.get(shorter, 0):
            blamed = shorter if shorter in overrides and longer not in overrides else longer
            refuse(
                blamed,
                f"{longer} of {timing[longer]} is less than {shorter} of {timing[shorter]}: {why}",
                f"raise {longer}, or lower {shorter}",
            )


def check_data_rate(
    timing: Mapping[str, int], prefetch: int, burst_cyc: int, place: tuple[str, Collection[str], Collection[str]]
) -> None:
    """Raise PartRefusal where data rate, clock and burst contradict each other: bandwidths would mean nothing.

    `place` is the speed grade, the names overridden, and those of the preset.
    """
    carried = timing["rate"] * timing["tck_ps"] * burst_cyc / 1_000_000
    if abs(carried - prefetch) > _ROUNDED * prefetch:
        grade, overrides, preset = place
        blamed = next((name for name in ("tck_ps", "n_bl", "n_bl_min", "rate") if name in overrides), "rate")
        raise PartRefusal(
            _place(blamed, grade, overrides, preset),
            f"at {timing['rate']} MT/s a pin carries {carried:.3g} transfers in a burst of {burst_cyc} clocks of "
            f"{timing['tck_ps']} ps, but a burst has {prefetch}",
            remedy="change rate, tck_ps and the burst together",
        )


def check_refresh(
    timing: Mapping[str, int],
    refresh: str,
    standard: str,
    commands: Collection[str],
    levels: Collection[str],
    place: tuple[str, Collection[str], Collection[str]],
) -> None:
    """Raise PartRefusal where the standard lacks a refresh of this kind, or the interval leaves no time for work.

    `place` is the speed grade, the names overridden, and those of the preset.
    """
    per_bank = refresh in ("PerBank", "HBM34PerBankRefresh")
    if refresh == "NoRefresh":
        return
    if ("REFpb" if per_bank else "REFab") not in commands or ("n_refipb" if per_bank else "n_refi") not in timing:
        kind = "per-bank" if per_bank else "all-bank"
        raise PartRefusal(("refresh",), f"{standard} has no {kind} refresh here", remedy="choose another `refresh`")
    if refresh == "HBM34PerBankRefresh" and "pseudo_channel" not in levels:
        raise PartRefusal(
            ("refresh",), f"{standard} has no pseudo channels to refresh together", remedy="choose PerBank or AllBank"
        )
    for interval, busy, managers in _INTERVALS:
        if refresh in managers and timing.get(interval, LONGEST_CYC) <= timing.get(busy, 0):
            grade, overrides, preset = place
            blamed = busy if busy in overrides and interval not in overrides else interval
            raise PartRefusal(
                _place(blamed, grade, overrides, preset),
                f"{interval} of {timing[interval]} is no longer than {busy} of {timing[busy]}: nothing but refresh",
                remedy=f"raise {interval}, lower {busy}, or set refresh to NoRefresh",
            )


def _place(name: str, speed_grade: str, overrides: Collection[str], preset: Collection[str]) -> KeyPath:
    """The key that gave a timing its value."""
    if name in overrides:
        return ("overrides", name)
    if name in preset:
        return ("speed_grades", speed_grade, name)
    return ("derived", name)

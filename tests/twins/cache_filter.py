"""Two levels of cache in plain Python: a set is an OrderedDict of line to dirty, the latest last."""

from __future__ import annotations

from collections import OrderedDict


class Level:
    def __init__(self, n_sets: int, ways: int) -> None:
        self.ways = ways
        self.sets: list[OrderedDict[int, bool]] = [OrderedDict() for _ in range(n_sets)]

    def use(self, line: int, dirty: bool) -> tuple[bool, tuple[int, bool] | None]:
        """Touch a line; tells whether it was there, and which (line, dirty) it pushed out."""
        lines = self.sets[line % len(self.sets)]
        if line in lines:
            lines[line] = lines[line] or dirty
            lines.move_to_end(line)
            return True, None
        lines[line] = dirty
        return False, lines.popitem(last=False) if len(lines) > self.ways else None


class TwoLevels:
    def __init__(self, l1: tuple[int, int], llc: tuple[int, int]) -> None:
        self.l1 = Level(*l1)
        self.llc = Level(*llc)

    def records(self, accesses: list[tuple[int, bool]]) -> list[tuple[int, bool, int]]:
        """(line, is write, number of the access) of everything that leaves the last level."""
        found = []
        for number, (line, is_store) in enumerate(accesses):
            hit, pushed = self.l1.use(line, is_store)
            if hit:
                continue
            hit, victim = self.llc.use(line, False)
            if not hit:
                found.append((line, False, number))
            if victim is not None and victim[1]:
                found.append((victim[0], True, number))
            if pushed is not None and pushed[1]:
                _, victim = self.llc.use(pushed[0], True)
                if victim is not None and victim[1]:
                    found.append((victim[0], True, number))
        return found

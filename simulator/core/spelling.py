"""Did-you-mean: the nearest known names to one that a user wrote."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LONGEST_COMPARED = 100


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate closest to `word`, case set aside, or None when nothing is near."""
    by_folded = {candidate.casefold(): candidate for candidate in sorted(candidates, reverse=True)}
    close = difflib.get_close_matches(word[:_LONGEST_COMPARED].casefold(), sorted(by_folded), n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def did_you_mean(word: str, candidates: Iterable[str], *, noun: str = "one of") -> str:
    """A remedy: the nearest candidate as a question, or else the candidates in words."""
    known = sorted(set(candidates))
    guess = nearest(word, known)
    if guess is not None:
        return f"did you mean `{guess}`?"
    if not known:
        return "remove it"
    shown = ", ".join(f"`{name}`" for name in known[:12])
    return f"use {noun} {shown}" + (", ..." if len(known) > 12 else "")

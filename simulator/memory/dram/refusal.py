"""What a DRAM part cannot be, said at the key that is wrong."""

from __future__ import annotations

from typing import NoReturn

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from simulator.core.errors import ConfigError
from simulator.core.paths import format_path

KeyPath = tuple[str | int, ...]


class PartRefusal(ConfigError):
    """A value of a part that cannot stand; `key` is the place in the part, `cause` what is wrong with it."""

    def __init__(self, key: KeyPath, cause: str, *, remedy: str) -> None:
        super().__init__(f"`{format_path(tuple(map(str, key)))}`: {cause}", remedy=remedy)
        self.key = key
        self.cause = cause

    def raise_at_place(self) -> NoReturn:
        """Raise pydantic's error for the key, which binding reports with the file's line and column."""
        words = PydanticCustomError("value_error", "{error}", {"error": f"{self.cause}; {self.remedy}"})
        raise ValidationError.from_exception_data("part", [InitErrorDetails(type=words, loc=self.key, input=None)])

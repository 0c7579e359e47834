"""What ends a measurement, or one row of it."""

from __future__ import annotations


class MeasuringError(Exception):
    """The measurement cannot start or go on; the message says why and what to do."""


class RowSkipped(Exception):
    """One row cannot be measured on this card; the message says why."""

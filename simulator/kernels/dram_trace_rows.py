"""Rows of a memory trace in text: operation words, whole numbers and times, read at the speed of the memory.

The text is bytes. A row is a line; blank lines and what follows a # are passed over.
"""

import numpy as np
from numba import njit

# What a field is; the numbers of WHOLE and TIME go into the columns of the result, in their order.
IGNORED, OPERATION, WHOLE, TIME = range(4)
# What stopped the reading.
DONE, MISSING_FIELD, SURPLUS_FIELD, UNKNOWN_OPERATION, NO_NUMBER, NEGATIVE, TOO_LARGE = range(7)
# Classes of bytes.
ORDINARY, BLANK, SEPARATOR, LINE_END, COMMENT = range(5)

_LARGEST = np.uint64((1 << 63) - 1)
_SAFE = np.uint64(((1 << 63) - 1) // 16 - 1)  # one more digit still fits
_TEN, _SIXTEEN = np.uint64(10), np.uint64(16)
_TIME_DIGITS = 6  # decimals of a time that are kept
_ZERO, _NINE, _MINUS, _POINT, _LOWER_X = 48, 57, 45, 46, 120
_LOWER_A, _LOWER_F = 97, 102
_WORD_BYTES = 8


@njit(cache=True)
def _word(text, start, end):
    """A word of at most 8 bytes in lower case as one number; 0 for a longer one."""
    if end - start > _WORD_BYTES:
        return np.uint64(0)
    packed = np.uint64(0)
    for at in range(start, end):
        packed = (packed << np.uint64(8)) | np.uint64(text[at] | 32)
    return packed


@njit(cache=True)
def _whole(text, start, end):
    """A whole number, decimal or 0x hexadecimal, and why it is none (DONE where it is one)."""
    if text[start] == _MINUS:
        return np.uint64(0), NEGATIVE
    value = np.uint64(0)
    if end - start > 2 and text[start] == _ZERO and (text[start + 1] | 32) == _LOWER_X:
        for at in range(start + 2, end):
            digit = text[at]
            letter = digit | 32
            if _ZERO <= digit <= _NINE:
                add = digit - _ZERO
            elif _LOWER_A <= letter <= _LOWER_F:
                add = letter - _LOWER_A + 10
            else:
                return value, NO_NUMBER
            if value > _SAFE:
                return value, TOO_LARGE
            value = value * _SIXTEEN + np.uint64(add)
        return value, DONE
    for at in range(start, end):
        digit = text[at]
        if digit < _ZERO or digit > _NINE:
            return value, NO_NUMBER
        if value > _SAFE:
            return value, TOO_LARGE
        value = value * _TEN + np.uint64(digit - _ZERO)
    return value, DONE


@njit(cache=True)
def _time(text, start, end):
    """A decimal number in millionths, further decimals cut off, and why it is none."""
    if text[start] == _MINUS:
        return np.uint64(0), NEGATIVE
    value = np.uint64(0)
    n_digits, n_decimals, seen_point = 0, 0, False
    for at in range(start, end):
        digit = text[at]
        if digit == _POINT and not seen_point:
            seen_point = True
            continue
        if digit < _ZERO or digit > _NINE:
            return value, NO_NUMBER
        n_digits += 1
        if seen_point:
            if n_decimals == _TIME_DIGITS:
                continue
            n_decimals += 1
        if value > _SAFE:
            return value, TOO_LARGE
        value = value * _TEN + np.uint64(digit - _ZERO)
    if n_digits == 0:
        return value, NO_NUMBER
    for _ in range(_TIME_DIGITS - n_decimals):
        if value > _SAFE:
            return value, TOO_LARGE
        value *= _TEN
    return value, DONE


@njit(cache=True)
def _field_end(text, start, classes):
    """Where a field ends that begins at `start`, blanks at its end left out."""
    at = start
    end = start
    while at < len(text):
        kind = classes[text[at]]
        if kind == ORDINARY:
            end = at + 1
        elif kind != BLANK:
            break
        at += 1
    return end, at


@njit(cache=True)
def _next_field(text, at, classes, separated):
    """The next byte that a field may begin with, or the end of the line."""
    while at < len(text):
        kind = classes[text[at]]
        if kind != BLANK and (separated or kind != SEPARATOR):
            break
        at += 1
    return at


@njit(cache=True)
def _next_line(text, at, classes):
    """Where the next line begins."""
    while at < len(text) and classes[text[at]] != LINE_END:
        at += 1
    return at + 1


@njit(cache=True)
def _index_of(word, words):
    """Which of the words it is, or -1."""
    for index in range(len(words)):
        if words[index] == word:
            return index
    return -1


@njit(cache=True)
def read_rows(text, start, classes, separated, roles, words, word_is_write, is_write, columns):
    """Read rows until the text or the room ends.

    text uint8[n] from `start` on; classes uint8[256] of bytes; `separated` says that fields stand between single
    separators (else between runs of blanks, which are then given as separators); roles int8[k] of the fields; words
    uint64[m] of operations (packed, lower case) and word_is_write bool[m]; fills is_write bool[rows] and columns
    int64[c, rows]. Returns (rows read, DONE or what is wrong, its position in the text, its field).
    """
    n_rows = 0
    at = start
    n_fields = len(roles)
    while at < len(text) and n_rows < len(is_write):
        at = _next_field(text, at, classes, separated)
        if at == len(text):
            break
        if classes[text[at]] == COMMENT or classes[text[at]] == LINE_END:
            at = _next_line(text, at, classes)
            continue
        column = 0
        for field in range(n_fields):
            at = _next_field(text, at, classes, separated)
            begin = at
            end, at = _field_end(text, begin, classes)
            role = roles[field]
            if end == begin and role != IGNORED:
                return n_rows, MISSING_FIELD, begin, field
            if role == OPERATION:
                index = _index_of(_word(text, begin, end), words)
                if index < 0:
                    return n_rows, UNKNOWN_OPERATION, begin, field
                is_write[n_rows] = word_is_write[index]
            elif role != IGNORED:
                value, problem = _time(text, begin, end) if role == TIME else _whole(text, begin, end)
                if problem != DONE:
                    return n_rows, problem, begin, field
                if value > _LARGEST:
                    return n_rows, TOO_LARGE, begin, field
                columns[column, n_rows] = np.int64(value)
                column += 1
            if separated and field < n_fields - 1:
                if at == len(text) or classes[text[at]] != SEPARATOR:
                    return n_rows, MISSING_FIELD, at, field + 1
                at += 1
        at = _next_field(text, at, classes, separated)
        if at < len(text) and classes[text[at]] != LINE_END and classes[text[at]] != COMMENT:
            return n_rows, SURPLUS_FIELD, at, n_fields
        at = _next_line(text, at, classes)
        n_rows += 1
    return n_rows, DONE, min(at, len(text)), 0

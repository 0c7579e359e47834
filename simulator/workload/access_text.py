"""Text of memory accesses, millions of lines a second: blocks of lines, their words, and the numbers in them.

Everything works on whole columns of a block: positions of words go in, numbers come out, and the first word that is
wrong becomes an error that names its line and column.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.core.errors import WorkloadError
from simulator.workload.access_file import AccessFile

BLOCK_BYTES = 1 << 21
MAX_LINE_BYTES = 1 << 16
Positions = NDArray[np.intp]

# Before and after a block's bytes, so that the bytes around any word can be looked at.
_PAD = 32
_NEWLINE, _HASH, _ZERO = ord("\n"), ord("#"), ord("0")
_N_HEX, _N_DECIMAL = 16, 20
_TEN_19 = np.uint64(10**19)
_BELOW_TEN_19 = np.uint64(2**64 - 1 - 10**19)


def _byte_table(of: dict[str, int], default: int) -> NDArray[np.uint8]:
    table = np.full(256, default, np.uint8)
    for text, value in of.items():
        table[ord(text)] = value
    return table


_NO_DIGIT = 16
_DIGITS = _byte_table({digit: int(digit, 16) for digit in "0123456789abcdefABCDEF"}, _NO_DIGIT)
_BLANKS = _byte_table(dict.fromkeys(" \t\r\n,", 1), 0).view(np.bool_)
_IS_X = _byte_table({"x": 1, "X": 1}, 0).view(np.bool_)
_LOWER = np.array([ord(chr(byte).lower()) if byte < 128 else byte for byte in range(256)], np.uint8)

_WORD_BYTES = 8
READ_WORDS = ("r", "l", "ld", "rd", "read", "load")
WRITE_WORDS = ("w", "s", "st", "wr", "write", "store")


@dataclass(frozen=True, slots=True, eq=False)
class TextBlock:
    """Whole lines: `raw` uint8, `end` the position of each line's newline; line 0 of it is `first_line` of the file."""

    file: AccessFile
    raw: NDArray[np.uint8]
    end: Positions
    first_line: int

    @property
    def start(self) -> Positions:
        """The position at which each line begins."""
        return np.concatenate((np.array([_PAD], np.intp), self.end[:-1] + 1))

    def error(self, position: int, message: str, remedy: str) -> WorkloadError:
        """The error at a position."""
        line = int(np.searchsorted(self.end, position))
        first = _PAD if line == 0 else int(self.end[line - 1]) + 1
        return self.file.error(message, remedy, self.first_line + line, position - first + 1)

    def text(self, start: int, end: int) -> str:
        """The text between two positions as an error shows it."""
        shown = self.raw[start : min(end, start + 40)].tobytes().decode("utf-8", errors="replace")
        return repr(shown if end - start <= 40 else shown + "...")

    def line_text(self, line: int) -> str:
        """A line of the block as text."""
        start = _PAD if line == 0 else int(self.end[line - 1]) + 1
        return self.raw[start : int(self.end[line])].tobytes().decode("utf-8", errors="replace")

    def text_lines(self) -> list[str]:
        """Its lines as text, for formats of few lines."""
        text = self.raw[_PAD : int(self.end[-1])].tobytes().decode("utf-8", errors="replace")
        return [line.removesuffix("\r") for line in text.split("\n")]

    def words(self) -> tuple[Positions, Positions]:
        """Where each word starts and ends; words stand between blanks, tabs, commas and ends of lines."""
        blank = _BLANKS[self.raw]
        edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
        return edges[0::2], edges[1::2]

    def without_comments(self) -> TextBlock:
        """The block with blanks in place of every `#` and what follows it on its line."""
        hashes = np.flatnonzero(self.raw == _HASH)
        if not len(hashes):
            return self
        line = np.searchsorted(self.end, hashes)
        is_first = np.diff(line, prepend=-1) > 0
        step = np.zeros(len(self.raw) + 1, np.int8)
        step[hashes[is_first]] = 1
        step[self.end[line[is_first]]] = -1
        raw = np.where(np.cumsum(step[:-1]).astype(np.bool_), np.uint8(ord(" ")), self.raw)
        return TextBlock(self.file, raw, self.end, self.first_line)


def text_blocks(file: AccessFile, block_bytes: int = BLOCK_BYTES) -> Iterator[TextBlock]:
    """The lines of a file, unpacked, some megabytes at a time; the last line may lack its end.

    Raises WorkloadError for what is no text: a zero byte, or a line of more than 64 KiB.
    """
    first_line = 1
    rest = b""
    with file.unpacked() as stream:
        while True:
            with file.broken_is_told():
                more = stream.read(block_bytes)
            if first_line == 1 and not rest:
                more = more.removeprefix(b"\xef\xbb\xbf")
            cut = more.rfind(b"\n") + 1
            if more and not cut:
                rest += more
                _check_length(file, len(rest), first_line)
                continue
            text = rest + more[:cut]
            rest = more[cut:]
            if not more and text:
                text += b"\n"
            if text:
                block = _block(file, text, first_line)
                first_line += len(block.end)
                yield block
            if not more:
                return


def _block(file: AccessFile, text: bytes, first_line: int) -> TextBlock:
    raw = np.frombuffer(b"\n" * _PAD + text + b"\n" * _PAD, np.uint8)
    end = np.flatnonzero(raw[_PAD:-_PAD] == _NEWLINE) + _PAD
    block = TextBlock(file, raw, end, first_line)
    zero = text.find(b"\0")
    if zero >= 0:
        raise block.error(_PAD + zero, "a zero byte: this is no text", _not_text())
    length = np.diff(end, prepend=_PAD - 1)
    longest = int(length.argmax())
    _check_length(file, int(length[longest]), first_line + longest)
    return block


def _check_length(file: AccessFile, n_bytes: int, number: int) -> None:
    if n_bytes > MAX_LINE_BYTES:
        raise file.error(f"a line of more than {MAX_LINE_BYTES:,} bytes: this is no text", _not_text(), number)


def _not_text() -> str:
    return "give --format, or a text of one access a line"


def addresses(block: TextBlock, start: Positions, end: Positions) -> NDArray[np.uint64]:
    """Words that are addresses, hexadecimal after 0x, else decimal. Raises WorkloadError at the first that is none."""
    is_hex = (block.raw[start] == _ZERO) & _IS_X[block.raw[start + 1]] & (end - start > 2)
    if is_hex.all():
        return hexadecimals(block, start, end, "address", n_prefix=2)
    if not is_hex.any():
        return decimals(block, start, end, "address")
    value = np.empty(len(start), np.uint64)
    value[~is_hex] = decimals(block, start[~is_hex], end[~is_hex], "address")
    value[is_hex] = hexadecimals(block, start[is_hex], end[is_hex], "address", n_prefix=2)
    return value


def hexadecimals(
    block: TextBlock, start: Positions, end: Positions, what: str, n_prefix: int = 0
) -> NDArray[np.uint64]:
    """Words of hexadecimal digits, after a prefix of so many bytes (2 of 0x).

    Raises WorkloadError, which calls them `what`, at the first that is none.
    """
    digit, width = _digits(block, start + n_prefix, end, _N_HEX)
    wrong = ((digit > 15) & _within(width, _N_HEX)).any(axis=1) | (width < 1)
    pairs = (digit[:, 0::2] << 4) | (digit[:, 1::2] & 15)
    value = np.ascontiguousarray(pairs).view(">u8")[:, 0].astype(np.uint64)
    unused = (4 * np.clip(_N_HEX - width, 0, _N_HEX - 1)).astype(np.uint64)
    # What stands before a word is shifted out and in again as zeros.
    value = (value << unused) >> unused
    _check(block, start, end, wrong, what)
    return _with_long_words(block, start, end, value, n_prefix + _N_HEX, 16, what)


def decimals(block: TextBlock, start: Positions, end: Positions, what: str) -> NDArray[np.uint64]:
    """Words of decimal digits. Raises WorkloadError, which calls them `what`, at the first that is none."""
    digit, width = _digits(block, start, end, _N_DECIMAL)
    within = _within(width, _N_DECIMAL)
    wrong = ((digit > 9) & within).any(axis=1) | (width < 1)
    digit[~within] = 0
    value = np.zeros(len(start), np.uint64)
    for place in range(max(1, _N_DECIMAL - int(width.max(initial=1))), _N_DECIMAL):
        value = value * np.uint64(10) + digit[:, place]
    _check(block, start, end, wrong, what)
    leading = digit[:, 0]
    if leading.any():
        over = (leading > 1) | ((leading == 1) & (value > _BELOW_TEN_19))
        if over.any():
            _too_large(block, start, end, int(np.argmax(over)), what)
        value[leading == 1] += _TEN_19
    return _with_long_words(block, start, end, value, _N_DECIMAL, 10, what)


def operations(block: TextBlock, start: Positions, end: Positions) -> NDArray[np.bool_]:
    """Words that say read or write (R, LD, W, ST and their like, any case), as is-write. Raises WorkloadError."""
    return _spelt(block, start, end, READ_WORDS, WRITE_WORDS, "R, W, LD or ST")


def flags(block: TextBlock, start: Positions, end: Positions) -> NDArray[np.bool_]:
    """Words that say whether an access is a write: 0, 1, false, true, or what `operations` takes."""
    return _spelt(block, start, end, (*READ_WORDS, "0", "false"), (*WRITE_WORDS, "1", "true"), "0, 1, R or W")


def _spelt(
    block: TextBlock, start: Positions, end: Positions, no: tuple[str, ...], yes: tuple[str, ...], wanted: str
) -> NDArray[np.bool_]:
    width = end - start
    raw = np.ascontiguousarray(_before(block, end, _WORD_BYTES))
    letters = _LOWER[raw]
    letters[~_within(width, _WORD_BYTES)] = 0
    word = letters.view(">u8")[:, 0].astype(np.uint64)
    code = {text: np.uint64(int.from_bytes(text.encode(), "big")) for text in (*no, *yes)}
    is_yes = np.isin(word, np.array([code[text] for text in yes]))
    wrong = ~(is_yes | np.isin(word, np.array([code[text] for text in no]))) | (width > _WORD_BYTES)
    if wrong.any():
        at = int(np.argmax(wrong))
        text = block.text(int(start[at]), int(end[at]))
        raise block.error(int(start[at]), f"{text} is no operation", f"write {wanted}")
    return is_yes


def _before(block: TextBlock, end: Positions, n_bytes: int) -> NDArray[np.uint8]:
    """The last bytes before each position, uint8[n, n_bytes]."""
    rows: NDArray[np.uint8] = np.lib.stride_tricks.sliding_window_view(block.raw, n_bytes)[end - n_bytes]
    return rows


def _within(width: Positions, n_bytes: int) -> NDArray[np.bool_]:
    """Which of the last bytes belong to a word of each width, bool[n, n_bytes]."""
    inside: NDArray[np.bool_] = np.arange(n_bytes, 0, -1) <= width[:, None]
    return inside


def _digits(block: TextBlock, start: Positions, end: Positions, n_digits: int) -> tuple[NDArray[np.uint8], Positions]:
    return _DIGITS[_before(block, end, n_digits)], end - start


def _check(block: TextBlock, start: Positions, end: Positions, wrong: NDArray[np.bool_], what: str) -> None:
    """Raise the error of the first word that is no number."""
    if not wrong.any():
        return
    at = int(np.argmax(wrong))
    first, text = int(start[at]), block.text(int(start[at]), int(end[at]))
    if text.startswith("'-"):
        raise block.error(first, f"the {what} {text[1:-1]} is negative", f"give a {what} of 0 to 2^64 - 1")
    raise block.error(
        first, f"{text} is no {what}", f"write the {what} in decimal digits, an address also as 0x and hexadecimal ones"
    )


def _too_large(block: TextBlock, start: Positions, end: Positions, at: int, what: str) -> None:
    text = block.text(int(start[at]), int(end[at]))
    raise block.error(int(start[at]), f"the {what} {text[1:-1]} is above 2^64 - 1", f"give a {what} of 64 bits")


def _with_long_words(
    block: TextBlock, start: Positions, end: Positions, value: NDArray[np.uint64], n_bytes: int, base: int, what: str
) -> NDArray[np.uint64]:
    """The values with those of words of more than `n_bytes` bytes put right: zeros in front of a number are fine."""
    for at in np.flatnonzero(end - start > n_bytes).tolist():
        word = block.raw[start[at] : end[at]].tobytes()
        try:
            # Python would take an underscore among digits.
            number = int(word, base) if word.isalnum() else -1
        except ValueError:
            number = -1
        if number < 0:
            _check(block, start[at : at + 1], end[at : at + 1], np.ones(1, np.bool_), what)
        if number >= 1 << 64:
            _too_large(block, start, end, at, what)
        value[at] = number
    return value

"""Systolic arrays in plain Python: cells that hand values to their neighbours, and folds that wait for their words.

Every cell of the array is there, used or not; a fold is over when the last of its stream has met the last cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

Matrix = list[list[int]]


@dataclass
class Ran:
    """The product, the ticks that the array ran, and the words that crossed its edges."""

    product: Matrix
    ticks: int = 0
    a_reads: int = 0
    b_reads: int = 0
    writes: int = 0
    by_fold: list[int] = field(default_factory=list)


def multiply(dataflow: str, a: Matrix, b: Matrix, rows: int, cols: int) -> Ran:
    """A (M x K) times B (K x N) on an array of rows x cols cells."""
    m, k, n = len(a), len(b), len(b[0])
    ran = Ran([[0] * n for _ in range(m)])
    if dataflow == "os":
        for first_m in range(0, m, rows):
            for first_n in range(0, n, cols):
                _outputs_stay(ran, a, b, first_m, first_n, rows, cols)
    elif dataflow == "ws":
        for first_k in range(0, k, rows):
            for first_n in range(0, n, cols):
                _weights_stay(ran, a, b, first_k, first_n, rows, cols)
    else:
        # B' A' = (A B)': inputs stay where weights did.
        turned = multiply("ws", _turned(b), _turned(a), rows, cols)
        return Ran(_turned(turned.product), turned.ticks, turned.b_reads, turned.a_reads, turned.writes, turned.by_fold)
    return ran


def _turned(matrix: Matrix) -> Matrix:
    return [list(column) for column in zip(*matrix, strict=True)]


@dataclass
class Word:
    """What moves from cell to cell: its value, and the last one of a stream says so."""

    value: int
    is_last: bool = False


def _outputs_stay(ran: Ran, a: Matrix, b: Matrix, first_m: int, first_n: int, rows: int, cols: int) -> None:
    k = len(b)
    sums = [[0] * cols for _ in range(rows)]
    right: list[list[Word | None]] = [[None] * cols for _ in range(rows)]
    down: list[list[Word | None]] = [[None] * cols for _ in range(rows)]
    ticks = 0
    while True:
        for row in range(rows - 1, -1, -1):
            for col in range(cols - 1, -1, -1):
                right[row][col] = right[row][col - 1] if col else None
                down[row][col] = down[row - 1][col] if row else None
        for row in range(rows):
            at = ticks - row
            if 0 <= at < k:
                there = first_m + row < len(a)
                ran.a_reads += there
                right[row][0] = Word(a[first_m + row][at] if there else 0, at == k - 1)
        for col in range(cols):
            at = ticks - col
            if 0 <= at < k:
                there = first_n + col < len(b[0])
                ran.b_reads += there
                down[0][col] = Word(b[at][first_n + col] if there else 0, at == k - 1)
        over = False
        for col in range(cols):
            handed_out = 0
            for row in range(rows):
                one, other = right[row][col], down[row][col]
                if one is None or other is None:
                    assert one is other
                    continue
                sums[row][col] += one.value * other.value
                if one.is_last:
                    handed_out += 1
                    if first_m + row < len(a) and first_n + col < len(b[0]):
                        ran.product[first_m + row][first_n + col] = sums[row][col]
                        ran.writes += 1
                    over = over or (row, col) == (rows - 1, cols - 1)
            assert handed_out <= 1, "a column has one way out"
        ticks += 1
        if over:
            break
    ran.ticks += ticks
    ran.by_fold.append(ticks)


def _weights_stay(ran: Ran, a: Matrix, b: Matrix, first_k: int, first_n: int, rows: int, cols: int) -> None:
    m = len(a)
    ticks = 0
    cells = [[0] * cols for _ in range(rows)]
    for loaded in range(rows - 1, -1, -1):  # the row of the bottom comes first
        cells = [[0] * cols, *cells[:-1]]
        for col in range(cols):
            if first_k + loaded < len(b) and first_n + col < len(b[0]):
                cells[0][col] = b[first_k + loaded][first_n + col]
                ran.b_reads += 1
        ticks += 1
    right: list[list[Word | None]] = [[None] * cols for _ in range(rows)]
    down: list[list[Word | None]] = [[None] * cols for _ in range(rows)]
    n_left = [0] * cols
    streamed = 0
    while n_left[-1] < m:
        for row in range(rows - 1, -1, -1):
            for col in range(cols - 1, -1, -1):
                right[row][col] = right[row][col - 1] if col else None
                down[row][col] = down[row - 1][col] if row else None
        for row in range(rows):
            at = streamed - row
            if 0 <= at < m:
                there = first_k + row < len(b)
                ran.a_reads += there
                right[row][0] = Word(a[at][first_k + row] if there else 0)
        for row in range(rows):
            for col in range(cols):
                moving = right[row][col]
                if moving is None:
                    continue
                above = down[row][col]
                so_far = above.value if row and above is not None else 0
                down[row][col] = Word(so_far + moving.value * cells[row][col])
        for col in range(cols):
            leaving = down[rows - 1][col]
            if leaving is not None:
                if first_n + col < len(b[0]):
                    ran.product[n_left[col]][first_n + col] += leaving.value
                    ran.writes += 1
                n_left[col] += 1
        streamed += 1
    ran.ticks += ticks + streamed
    ran.by_fold.append(ticks + streamed)


# --- the memory


@dataclass(frozen=True)
class Memory:
    """Words kept of X and Y, bytes of words and sums, cycles that a byte and the first one take, and whether words move
    while a fold computes."""

    keep_x: int
    keep_y: int
    word_bytes: int
    sum_bytes: int
    read_cyc: float
    write_cyc: float
    latency_cyc: float
    overlaps: bool = True


@dataclass(frozen=True)
class Moved:
    """Bytes that a fold lacks, and that leave after it."""

    read: float
    written: float


def fold_traffic(
    dataflow: str, grid: tuple[int, int, int], array: tuple[int, int], rows_outer: bool, memory: Memory
) -> list[Moved]:
    """Every fold's traffic, in order."""
    return list(_moves(dataflow, grid, array, rows_outer, memory))


def _moves(
    dataflow: str, grid: tuple[int, int, int], array: tuple[int, int], rows_outer: bool, memory: Memory
) -> Iterator[Moved]:
    extents, stream = grid[:2], grid[2]
    n_folds = [-(-extent // size) for extent, size in zip(extents, array, strict=True)]
    places = [(p, q) for p in range(n_folds[0]) for q in range(n_folds[1])]
    if not rows_outer:
        places.sort(key=lambda place: (place[1], place[0]))
    x_share = max(0.0, 1 - memory.keep_x / (extents[0] * stream))
    y_share = max(0.0, 1 - memory.keep_y / (extents[1] * stream))
    for p, q in places:
        n_rows = min(array[0], extents[0] - p * array[0])
        n_cols = min(array[1], extents[1] - q * array[1])
        x, y = n_rows * stream, n_cols * stream
        x_again = max(0, x - memory.keep_x) if rows_outer else x * x_share
        y_again = y * y_share if rows_outer else max(0, y - memory.keep_y)
        read = (x if q == 0 else x_again) * memory.word_bytes
        if dataflow == "os":
            read += (y if p == 0 else y_again) * memory.word_bytes
            yield Moved(read, n_rows * n_cols * memory.word_bytes)
            continue
        read += n_rows * n_cols * memory.word_bytes
        read += 0 if p == 0 else y_again * memory.sum_bytes
        is_finished = p == n_folds[0] - 1
        yield Moved(read, y * memory.word_bytes if is_finished else y_again * memory.sum_bytes)


def elapsed_cyc(traffic: Sequence[Moved], compute_cyc: int, memory: Memory) -> float:
    """Fill, then a slot a fold: it computes, the next one's words come, the last one's results leave; then drain."""
    total = memory.latency_cyc + traffic[0].read * memory.read_cyc
    for at in range(len(traffic)):
        moving = 0.0
        if at + 1 < len(traffic):
            moving += traffic[at + 1].read * memory.read_cyc
        if at > 0:
            moving += traffic[at - 1].written * memory.write_cyc
        total += max(compute_cyc, moving) if memory.overlaps else compute_cyc + moving
    return total + traffic[-1].written * memory.write_cyc

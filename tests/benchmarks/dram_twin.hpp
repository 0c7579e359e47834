// The event-driven DRAM kernel's queues, commands and refresh in C++, on the kernel's own arrays.
//
// Word offsets come from the kernel's own modules, in a header that is written when the twin is compiled, so that both read
// one layout; what is computed, and in which order, is the kernel's. Rows of lanes are vectors of `LANES` words.

#pragma once

#include <cstdint>

using Int = std::int64_t;

#include "dram_words.hpp"

namespace twin {

constexpr Int BLOCK = 8;
typedef Int Vector __attribute__((vector_size(BLOCK * sizeof(Int)), aligned(8)));

inline Int max(Int a, Int b) { return a > b ? a : b; }
inline Int min(Int a, Int b) { return a < b ? a : b; }
inline Vector larger(Vector a, Vector b) { return a > b ? a : b; }
inline Vector smaller(Vector a, Vector b) { return a < b ? a : b; }
inline Vector every_lane(Int word) { return Vector{} + word; }
inline Vector &row_at(Int *words) { return *reinterpret_cast<Vector *>(words); }
inline const Vector &row_at(const Int *words) { return *reinterpret_cast<const Vector *>(words); }

inline Int least(Vector row) {
    typedef Int Four __attribute__((vector_size(32)));
    typedef Int Two __attribute__((vector_size(16)));
    Four four = __builtin_shufflevector(row, row, 0, 1, 2, 3);
    const Four upper = __builtin_shufflevector(row, row, 4, 5, 6, 7);
    four = four < upper ? four : upper;
    Two two = __builtin_shufflevector(four, four, 0, 1);
    const Two last = __builtin_shufflevector(four, four, 2, 3);
    two = two < last ? two : last;
    return min(two[0], two[1]);
}

// What a run shares: constants, where results go, and the front end.
struct Run {
    const Int *table;
    Int *latency, *issue, *flight, *log;
    Int log_rows;
    Int *front;

    Int room() const { return log_rows > 0 ? log_rows - SPARE_LOG : NEVER; }
};

// ---------------------------------------------------------------------------------------------- queues and candidates

inline Int filter_place(Int address) {
    return (static_cast<Int>(static_cast<std::uint64_t>(address) * 0x61C8864680B583EBull) >> 52) & (BLOOM - 1);
}

inline void set_order(Int *s, Int kind, Int lane, Int order) {
    Int &place = s[ORDER + kind * STRIDE + lane];
    s[N_KIND + kind] += (order < NONE) - (place < NONE);
    place = order;
}

inline void refresh_lane(Int *s, const Int *table, Int lane) {
    const Int queue = s[WRITE_MODE] & 1;
    const Int hit = s[HIT + queue * STRIDE + lane], other = s[OTHER + queue * STRIDE + lane];
    const Int active = s[ACTIVE + lane], open_row = s[OPEN + lane];
    const Int column = s[KEY + hit], row = s[KEY + other], waits = s[KEY + active] ^ QUEUED;
    Int read = queue ? NONE : column;
    Int write = queue ? column : NONE;
    if (active != NIL) (s[IS_WRITE + active] ? write : read) = waits;
    bool may_close = open_row >= 0 && active == NIL;
    if (table[T_ROW_HIT_FIRST] && hit != NIL && s[ARRIVED + hit] <= s[ARRIVED + other]) may_close = false;
    set_order(s, RD, lane, read | RD << KIND_SHIFT | lane);
    set_order(s, WR, lane, write | WR << KIND_SHIFT | lane);
    set_order(s, ACT, lane, (open_row == CLOSED ? row : NONE) | ACT << KIND_SHIFT | lane);
    set_order(s, PRE, lane, (may_close ? row : NONE) | PRE << KIND_SHIFT | lane);
}

inline void switch_mode(Int *s, const Int *table) {
    s[WRITE_MODE] ^= 1;
    s[BEST_OK] = 0;
    for (Int lane = 0; lane < table[T_LANES]; lane++) refresh_lane(s, table, lane);
}

inline bool would_switch(const Int *s, const Int *table) {
    const Int n_reads = s[N_READ], n_writes = s[N_WRITE];
    if (s[WRITE_MODE]) return n_writes <= table[T_WRITE_OFF] && n_reads > 0;
    return n_writes >= table[T_WRITE_ON] || n_reads == 0;
}

inline Int next_of_row(const Int *s, Int slot, Int row) {
    while (slot != NIL && s[ROW + slot] != row) slot = s[NEXT + slot];
    return slot;
}

inline Int next_of_another(const Int *s, Int slot, Int row) {
    while (slot != NIL && s[ROW + slot] == row) slot = s[NEXT + slot];
    return slot;
}

inline void open_lane(Int *s, Int lane, Int row) {
    s[OPEN + lane] = row;
    for (Int queue = 0; queue < 2; queue++) {
        Int *place = s + queue * STRIDE + lane;
        const Int head = place[HEAD];
        place[HIT] = next_of_row(s, head, row);
        place[OTHER] = next_of_another(s, head, row);
    }
}

inline void close_lane(Int *s, Int lane) {
    s[OPEN + lane] = CLOSED;
    for (Int queue = 0; queue < 2; queue++) {
        Int *place = s + queue * STRIDE + lane;
        place[HIT] = NIL;
        place[OTHER] = place[HEAD];
    }
}

inline void unlink(Int *s, Int queue, Int lane, Int slot) {
    const Int before = s[BEFORE + slot], after = s[NEXT + slot];
    s[NEXT + before] = after;
    s[BEFORE + after] = before;
    Int *place = s + queue * STRIDE + lane;
    if (before == NIL) place[HEAD] = after;
    if (after == NIL) place[TAIL] = before;
    s[N_READ + queue]--;
    if (queue) s[FILTER + filter_place(s[ADDRESS + slot])]--;
}

inline void free_slot(Int *s, Int slot) {
    s[FREE + s[N_FREE]] = slot;
    s[N_FREE]++;
    s[PENDING]--;
}

inline bool is_being_written(const Int *s, Int lane, Int address) {
    if (s[FILTER + filter_place(address)] == 0) return false;
    Int slot = s[HEAD + STRIDE + lane];
    while (slot != NIL && s[ADDRESS + slot] != address) slot = s[NEXT + slot];
    return slot != NIL;
}

inline void offer_best(Int *s, Int kind, Int lane, Int now) {
    if (!s[BEST_OK]) return;
    const Int order = s[ORDER + kind * STRIDE + lane];
    const Int ready = max(s[READY + kind * STRIDE + lane], now), best = s[BEST_CYC];
    if (order < NONE && (ready < best || (ready == best && order < s[BEST_ORDER]))) {
        s[BEST_CYC] = ready;
        s[BEST_ORDER] = order;
    }
}

inline void enqueue(Int *s, const Int *table, Int queue, Int lane, Int row, Int address, Int request) {
    const Int slot = s[FREE + --s[N_FREE]];
    const Int clk = s[CLK];
    s[KEY + slot] = QUEUED | s[AGE]++ << AGE_SHIFT;
    s[ROW + slot] = row;
    s[REQUEST + slot] = request;
    s[ARRIVED + slot] = clk;
    s[IS_WRITE + slot] = queue;
    s[COUNTED + slot] = 0;
    s[ADDRESS + slot] = address;
    Int *place = s + queue * STRIDE + lane;
    const Int tail = place[TAIL];
    s[NEXT + slot] = NIL;
    s[BEFORE + slot] = tail;
    s[NEXT + tail] = slot;
    if (tail == NIL) place[HEAD] = slot;
    place[TAIL] = slot;
    s[N_READ + queue]++;
    if (queue) s[FILTER + filter_place(address)]++;
    if (s[PENDING]++ == 0) s[LAST_COLUMN] = clk;
    Int &first = place[s[OPEN + lane] == row ? HIT : OTHER];
    if (first != NIL) return;
    first = slot;
    if (s[WRITE_MODE] != queue) return;
    refresh_lane(s, table, lane);
    offer_best(s, queue, lane, clk + 1);
    offer_best(s, ACT, lane, clk + 1);
    offer_best(s, PRE, lane, clk + 1);
}

// ----------------------------------------------------------------------------------------------------------- commands

inline Int mixed(Int digest, Int word) {
    return static_cast<Int>((static_cast<std::uint64_t>(digest) ^ static_cast<std::uint64_t>(word)) * 1099511628211ull);
}

inline void note_command(Int *s, const Run &run, Int channel, Int command, Int lane, Int request, Int now) {
    const Int bank = run.table[T_BANK + lane], code = run.table[T_COMMAND + command];
    s[DIGEST] = mixed(mixed(mixed(s[DIGEST], now), code), bank);
    s[COUNTS + command]++;
    if (run.log_rows > 0) {
        Int *row = run.log + 5 * run.front[F_LOGGED]++;
        row[0] = now, row[1] = code, row[2] = bank, row[3] = request, row[4] = channel;
    }
}

inline void raise_ready(Int *s, const Int *table, Int command, Int lane, Int now) {
    const Int n_lanes = table[T_LANES];
    for (Int kind = 0; kind < 4; kind++) {
        const Int how = table[T_HOW + command * 4 + kind];
        Int *place = s + READY + kind * STRIDE;
        if (how == ALL_BANKS) {
            const Int *row = table + T_LATENCY + ((command * 4 + kind) * n_lanes + lane) * n_lanes;
            for (Int k = 0; k < n_lanes; k += BLOCK)
                row_at(place + k) = larger(row_at(place + k), row_at(row + k) + now);
        } else if (how != NOT_AT_ALL) {
            place[lane] = max(place[lane], now + table[T_OWN + command * 4 + kind]);
        }
    }
    s[LAST + command * STRIDE + lane] = now;
    s[BEST_OK] = 0;
}

inline void four_activations(Int *s, const Int *table, Int lane, Int now) {
    const Int per_rank = table[T_LANES_PER_RANK];
    const Int rank = lane / per_rank;
    Int *ring = s + RECENT + rank * 8;
    const Int newest = ring[4], oldest = (newest + 1) & 3;
    ring[newest] = now;
    ring[4] = oldest;
    const Vector at_least = every_lane(ring[oldest] + table[T_FOUR_ACT]);
    Int *first = s + READY + ACT * STRIDE + rank * per_rank;
    for (Int k = 0; k < per_rank; k += BLOCK) row_at(first + k) = larger(row_at(first + k), at_least);
}

inline void finish_read(Int *s, const Run &run, Int request, Int arrived, Int depart) {
    run.latency[request] = depart - arrived;
    s[LATENCY_SUM] += depart - arrived;
    Int *place = s + RING + 2 * (s[FINISHED]++ & (RING_SIZE - 1));
    place[0] = depart;
    place[1] = depart - arrived;
    if (run.table[T_WINDOW] > 0) {
        run.flight[run.front[F_FLYING]++] = depart;
        run.front[F_UNISSUED]--;
    }
}

inline Int serve_column(Int *s, const Run &run, Int channel, Int order, Int now) {
    const Int *table = run.table;
    const Int lane = order & LANE_MASK, kind = (order >> KIND_SHIFT) & 1;
    const bool is_queued = order & QUEUED;
    Int *place = s + kind * STRIDE + lane;
    Int freed = NO_WAIT, slot;
    if (is_queued) {
        slot = place[HIT];
        unlink(s, kind, lane, slot);
        place[HIT] = next_of_row(s, s[NEXT + slot], s[OPEN + lane]);
        s[HITS] += 1 - s[COUNTED + slot];
        freed = kind;
    } else {
        slot = s[ACTIVE + lane];
        s[ACTIVE + lane] = NIL;
        s[N_ACTIVE]--;
    }
    const Int request = s[REQUEST + slot];
    run.issue[request] = now;
    s[READS + kind]++;
    if (kind == RD) finish_read(s, run, request, s[ARRIVED + slot], now + table[T_READ_LATENCY]);
    s[SYNC_END] = max(s[SYNC_END], now + table[T_SYNC_READ + kind]);
    s[LAST_COLUMN] = now;
    free_slot(s, slot);
    raise_ready(s, table, kind, lane, now);
    if (is_queued && !table[T_ROW_HIT_FIRST])
        set_order(s, kind, lane, s[KEY + place[HIT]] | kind << KIND_SHIFT | lane);
    else
        refresh_lane(s, table, lane);
    note_command(s, run, channel, kind, lane, request, now);
    return freed;
}

// Of active requests that arrived in one tick, the one activated first is served first: exchange their ages.
inline void order_active(Int *s, const Int *table, Int slot) {
    while (true) {
        Int first = NIL, its_lane = 0;
        for (Int lane = 0; lane < table[T_LANES]; lane++) {
            const Int other = s[ACTIVE + lane];
            if (other != NIL && s[ARRIVED + other] == s[ARRIVED + slot] && s[KEY + other] > s[KEY + slot] &&
                (first == NIL || s[KEY + other] < s[KEY + first])) {
                first = other;
                its_lane = lane;
            }
        }
        if (first == NIL) return;
        const Int key = s[KEY + first];
        s[KEY + first] = s[KEY + slot];
        s[KEY + slot] = key;
        refresh_lane(s, table, its_lane);
    }
}

inline void make_active(Int *s, const Int *table, Int lane, Int slot) {
    s[ACTIVE + lane] = slot;
    s[N_ACTIVE]++;
    open_lane(s, lane, s[ROW + slot]);
    if (table[T_FE_RATIO] > 1) order_active(s, table, slot);
    refresh_lane(s, table, lane);
}

inline Int serve_row(Int *s, const Run &run, Int channel, Int order, Int now) {
    const Int *table = run.table;
    const Int lane = order & LANE_MASK, queue = s[WRITE_MODE] & 1;
    const Int slot = s[OTHER + queue * STRIDE + lane];
    const Int first_time = 1 - s[COUNTED + slot];
    s[COUNTED + slot] = 1;
    const Int request = s[REQUEST + slot];
    Int freed = NO_WAIT, command = PRE;
    if (((order >> KIND_SHIFT) & 3) == ACT) {
        command = ACT;
        s[MISSES] += first_time;
        unlink(s, queue, lane, slot);
        freed = queue;
        raise_ready(s, table, ACT, lane, now);
        four_activations(s, table, lane, now);
        if (table[T_CONTROLLER] == SPLIT_ACTIVATE) {
            s[OPEN + lane] = ACTIVATING;
            s[ACTIVATING_SLOT] = slot;
            s[ACTIVATING_LANE] = lane;
            s[ACT2_BY] = now + table[T_ACT2_WITHIN];
            refresh_lane(s, table, lane);
        } else {
            make_active(s, table, lane, slot);
        }
    } else {
        s[CONFLICTS] += first_time;
        close_lane(s, lane);
        raise_ready(s, table, PRE, lane, now);
        refresh_lane(s, table, lane);
    }
    note_command(s, run, channel, command, lane, request, now);
    return freed;
}

inline void serve_second_activate(Int *s, const Run &run, Int channel, Int now) {
    const Int lane = s[ACTIVATING_LANE], slot = s[ACTIVATING_SLOT];
    s[ACTIVATING_SLOT] = NIL;
    make_active(s, run.table, lane, slot);
    note_command(s, run, channel, ACT2, lane, s[REQUEST + slot], now);
}

// -------------------------------------------------------------------------------------------------------- maintenance

inline bool is_wide(Int command) { return command == PRE_ALL || command == REF_ALL; }

inline const Int *maintenance_head(const Int *s) { return s + PRIO + 2 * (s[PRIO_HEAD] & (PRIO_SIZE - 1)); }

inline Int maintenance_command(const Int *s, const Int *table) {
    const Int command = maintenance_head(s)[0], lane = maintenance_head(s)[1];
    if (command == REF_ALL) {
        for (Int other = lane; other < lane + table[T_LANES_PER_RANK]; other++)
            if (s[OPEN + other] != CLOSED) return PRE_ALL;
        return REF_ALL;
    }
    return s[OPEN + lane] != CLOSED ? PRE : command;
}

inline Int maintenance_ready(const Int *s, const Int *table, Int command, Int lane, Int now) {
    if (command == PRE) return max(now, s[READY + PRE * STRIDE + lane]);
    const Int n_lanes = table[T_LANES];
    Int ready = now;
    for (Int preceding = 0; preceding < N_RULED; preceding++) {
        const Int *row = table + table[T_WAIT_AT];
        row += (((command - PRE_ALL) * N_RULED + preceding) * n_lanes + lane) * n_lanes;
        const Int *last = s + LAST + preceding * STRIDE;
        for (Int other = 0; other < n_lanes; other++) ready = max(ready, last[other] + row[other]);
    }
    return ready;
}

inline bool may_close(const Int *s, const Int *table, Int command, Int lane) {
    const Int last = lane + (is_wide(command) ? table[T_LANES_PER_RANK] : 1);
    for (Int other = lane; other < last; other++)
        if (s[ACTIVE + other] != NIL || s[OPEN + other] == ACTIVATING) return false;
    return true;
}

inline void serve_maintenance(Int *s, const Run &run, Int channel, Int command, Int lane, Int now) {
    const Int last = lane + (is_wide(command) ? run.table[T_LANES_PER_RANK] : 1);
    raise_ready(s, run.table, command, lane, now);
    for (Int other = lane; other < last; other++) {
        s[LAST + command * STRIDE + other] = now;
        if (command == PRE_ALL || command == PRE) {
            close_lane(s, other);
            refresh_lane(s, run.table, other);
        }
    }
    if (command != PRE_ALL && command != PRE) {
        s[PRIO_HEAD]++;
        s[PRIO_LENGTH]--;
        s[REFRESHES]++;
    }
    note_command(s, run, channel, command, lane, -1, now);
}

inline void push(Int *s, Int *front, Int command, Int lane) {
    const Int length = s[PRIO_LENGTH];
    if (length == MOST_WAITING) {
        front[F_STATUS] = OVERFULL;
        return;
    }
    Int *place = s + PRIO + 2 * ((s[PRIO_HEAD] + length) & (PRIO_SIZE - 1));
    place[0] = command;
    place[1] = lane;
    s[PRIO_LENGTH] = length + 1;
}

inline void push_staggered(Int *s, const Int *table, Int *front, Int now) {
    if (s[DUE_BACKLOG] == 0) s[DUE_NEXT] = now + table[T_REFI];
    const Int rank = s[DUE_BACKLOG];
    Int *place = s + PUSHED + 2 * (rank * table[T_SETS_PER_RANK] + s[DUE_SET]);
    push(s, front, REF_BANK, rank * table[T_LANES_PER_RANK] + s[DUE_SET] * table[T_BANKS_PER_SET] + s[DUE_BANK]);
    if (++place[0] == table[T_BANKS_PER_SET]) {
        place[0] = 0;
        place[1] = now + table[T_RFC_BANK];
    }
    s[DUE_BACKLOG] = rank + 1;
    if (rank + 1 < table[T_RANKS]) {
        s[DUE] = now + 1;
        return;
    }
    s[DUE_BACKLOG] = 0;
    if (++s[DUE_BANK] == table[T_BANKS_PER_SET]) {
        s[DUE_BANK] = 0;
        s[DUE_SET] = (s[DUE_SET] + 1) % table[T_SETS_PER_RANK];
    }
    Int due = s[DUE_NEXT];
    for (Int other = 0; other < table[T_RANKS]; other++)
        due = max(due, s[PUSHED + 2 * (other * table[T_SETS_PER_RANK] + s[DUE_SET]) + 1]);
    s[DUE] = max(due, now + 1);
}

inline void ask_for_refresh(Int *s, const Int *table, Int *front, Int now) {
    if (table[T_REFRESH] == ALL_BANK) {
        for (Int rank = 0; rank < table[T_RANKS]; rank++) push(s, front, REF_ALL, rank * table[T_LANES_PER_RANK]);
        s[DUE] = now + table[T_REFI];
    } else if (table[T_REFRESH] == PER_BANK) {
        const Int bank = s[DUE_BANK], per_rank = table[T_BANKS_PER_RANK];
        push(s, front, REF_BANK, bank / per_rank * table[T_LANES_PER_RANK] + bank % per_rank);
        s[DUE_BANK] = (bank + 1) % (table[T_RANKS] * per_rank);
        s[DUE] = now + table[T_REFI];
    } else {
        push_staggered(s, table, front, now);
    }
}

}  // namespace twin

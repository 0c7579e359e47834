// The event-driven DRAM kernel in C++: what the kernel's speed is measured against.
//
// The same algorithm on the same arrays (see dram_twin.hpp): what can issue, in which tick, and the front end before it.

#include "dram_twin.hpp"

namespace twin {

inline Int first_of_kind(const Int *s, const Int *table, Int kind, Int now, Int odd) {
    if (s[N_KIND + kind] == 0) return NONE;
    const Int *ready = s + READY + kind * STRIDE, *order = s + ORDER + kind * STRIDE;
    Vector best = every_lane(NONE);
    for (Int k = 0; k < table[T_LANES]; k += BLOCK) {
        const Vector later = (larger(row_at(ready + k), every_lane(now)) | odd) - now;
        best = smaller(best, later << SHIFT | row_at(order + k));
    }
    return least(best);
}

inline Int first_column(const Int *s, const Int *table, Int now) {
    const Int odd = table[T_ODD];
    return min(first_of_kind(s, table, RD, now, odd), first_of_kind(s, table, WR, now, odd));
}

inline Int first_row(const Int *s, const Int *table, Int now) {
    return min(first_of_kind(s, table, ACT, now, table[T_ODD]), first_of_kind(s, table, PRE, now, 0));
}

inline Int first_active(const Int *s, const Int *table, Int now) {
    Int best = NONE;
    if (s[N_ACTIVE] == 0) return best;
    for (Int lane = 0; lane < table[T_LANES]; lane++) {
        const Int slot = s[ACTIVE + lane];
        if (slot == NIL) continue;
        const Int kind = s[IS_WRITE + slot];
        const Int ready = max(s[READY + kind * STRIDE + lane], now) | table[T_ODD];
        best = min(best, (ready - now) << SHIFT | s[ORDER + kind * STRIDE + lane]);
    }
    return best;
}

inline Int the_only_one(const Int *s, Int order, Int now) {
    if (s[N_KIND] + s[N_KIND + 1] + s[N_KIND + 2] + s[N_KIND + 3] != 1) return NONE;
    const Int *place = s + ((order >> KIND_SHIFT) & 3) * STRIDE + (order & LANE_MASK);
    if (place[ORDER] >= NONE) return NONE;
    return (max(place[READY], now) - now) << SHIFT | place[ORDER];
}

inline Int tick_of(Int first, Int now) { return first < NONE ? now + (first >> SHIFT) : NEVER; }

inline Int order_of(Int first) { return first & ((Int(1) << SHIFT) - 1); }

inline bool is_over(const Int *s, Int wait, Int freed) {
    if (wait == NO_WAIT) return false;
    return freed == wait || (wait == WAIT_DRAINED && s[PENDING] == 0);
}

inline void check_patience(const Int *s, const Int *table, Int *front, Int now) {
    if (s[PENDING] > 0 && now - s[LAST_COLUMN] > table[T_PATIENCE]) front[F_STATUS] = STARVED;
}

inline bool is_running(const Int *s, const Run &run, Int limit, Int room) {
    return s[CLK] < limit && run.front[F_LOGGED] < room && run.front[F_STATUS] == RUNNING;
}

// The head of the maintenance queue: what it needs, where, and when it may have it.
struct Maintenance {
    Int command, lane, cyc;

    Maintenance(const Int *s, const Int *table, Int now)
        : command(maintenance_command(s, table)), lane(maintenance_head(s)[1]), cyc(NEVER) {
        if (!may_close(s, table, command, lane)) return;
        cyc = maintenance_ready(s, table, command, lane, now);
        if (command > PRE_ALL) cyc |= table[T_ODD];
    }
};

void maintain(Int *s, const Run &run, Int channel, Int limit) {
    const Int now = s[CLK] + 1;
    const Maintenance head(s, run.table, now);
    const Int column = first_active(s, run.table, now);
    const Int column_cyc = tick_of(column, now);
    const Int cyc = min(column_cyc, head.cyc);
    check_patience(s, run.table, run.front, min(cyc, limit));
    if (cyc > limit) {
        s[CLK] = limit;
        return;
    }
    s[CLK] = cyc;
    if (column_cyc <= head.cyc)
        serve_column(s, run, channel, column, cyc);
    else
        serve_maintenance(s, run, channel, head.command, head.lane, cyc);
}

void evaluate_mode(Int *s, const Int *table, Int now) {
    if (would_switch(s, table) && tick_of(first_active(s, table, now), now) > now) switch_mode(s, table);
}

void advance_one_bus(Int *s, const Run &run, Int channel, Int limit, Int wait) {
    const Int *table = run.table;
    const Int room = run.room();
    Int order = s[BEST_ORDER];
    while (is_running(s, run, limit, room)) {
        const Int now = s[CLK] + 1;
        while (s[DUE] <= now) ask_for_refresh(s, table, run.front, now);
        if (s[PRIO_LENGTH] > 0) {
            maintain(s, run, channel, limit);
            if (wait == WAIT_DRAINED && s[PENDING] == 0) return;
            continue;
        }
        evaluate_mode(s, table, now);
        if (!s[BEST_OK]) {
            Int first = the_only_one(s, order, now);
            if (first == NONE) first = min(first_column(s, table, now), first_row(s, table, now));
            s[BEST_CYC] = tick_of(first, now);
            s[BEST_ORDER] = order_of(first);
            s[BEST_OK] = 1;
        }
        const Int cyc = s[BEST_CYC];
        if (cyc > limit || cyc >= s[DUE]) {
            s[CLK] = min(limit, s[DUE] - 1);
            continue;
        }
        order = s[BEST_ORDER];
        s[CLK] = cyc;
        const bool is_column = ((order >> KIND_SHIFT) & 3) <= WR;
        const Int freed = is_column ? serve_column(s, run, channel, order, cyc) : serve_row(s, run, channel, order, cyc);
        if (is_over(s, wait, freed)) return;
    }
}

void advance_two_buses(Int *s, const Run &run, Int channel, Int limit, Int wait) {
    const Int *table = run.table;
    const Int room = run.room();
    while (is_running(s, run, limit, room)) {
        const Int now = s[CLK] + 1;
        while (s[DUE] <= now) ask_for_refresh(s, table, run.front, now);
        if (s[PRIO_LENGTH] > 0) {
            check_patience(s, table, run.front, now);
            const Int column = first_active(s, table, now);
            const Int column_cyc = tick_of(column, now);
            Maintenance head(s, table, now);
            const Int cyc = min(column_cyc, head.cyc);
            if (cyc > limit) {
                s[CLK] = limit;
                continue;
            }
            s[CLK] = cyc;
            Int freed = NO_WAIT;
            if (column_cyc == cyc) {
                freed = serve_column(s, run, channel, column, cyc);
                head = Maintenance(s, table, cyc);
            }
            const bool over = column_cyc == cyc && is_over(s, wait, freed);
            if (head.cyc == cyc) serve_maintenance(s, run, channel, head.command, head.lane, cyc);
            if (over) return;
            continue;
        }
        evaluate_mode(s, table, now);
        const Int column = first_column(s, table, now);
        Int row = first_row(s, table, now), row_cyc = tick_of(row, now);
        const Int column_cyc = tick_of(column, now), until = min(limit, s[DUE] - 1);
        const Int cyc = min(column_cyc, row_cyc);
        if (cyc > until) {
            s[CLK] = until;
            continue;
        }
        s[CLK] = cyc;
        bool over = false;
        if (column_cyc == cyc) {
            over = is_over(s, wait, serve_column(s, run, channel, order_of(column), cyc));
            if (would_switch(s, table)) switch_mode(s, table);
            row = first_row(s, table, cyc);
            row_cyc = tick_of(row, cyc);
        }
        if (row_cyc == cyc && is_over(s, wait, serve_row(s, run, channel, order_of(row), cyc))) over = true;
        if (over) return;
    }
}

Int serve_in_step(Int *s, const Run &run, Int channel, Int order, Int now) {
    if (now < s[SYNC_END] || run.table[T_ALWAYS_IN_SYNC]) return serve_column(s, run, channel, order, now);
    const Int lane = order & LANE_MASK, kind = (order >> KIND_SHIFT) & 1;
    const Int slot = order & QUEUED ? s[HIT + kind * STRIDE + lane] : s[ACTIVE + lane];
    s[SYNCED] = order;
    note_command(s, run, channel, CAS_RD + kind, lane, s[REQUEST + slot], now);
    return NO_WAIT;
}

void advance_split(Int *s, const Run &run, Int channel, Int limit, Int wait) {
    const Int *table = run.table;
    const Int room = run.room();
    while (is_running(s, run, limit, room)) {
        const Int now = s[CLK] + 1;
        while (s[DUE] <= now) ask_for_refresh(s, table, run.front, now);
        if (s[SYNCED] >= 0) {
            const Int order = s[SYNCED];
            const Int cyc = max(now, s[READY + ((order >> KIND_SHIFT) & 1) * STRIDE + (order & LANE_MASK)]);
            s[CLK] = min(cyc, limit);
            if (cyc > limit) continue;
            s[SYNCED] = -1;
            if (is_over(s, wait, serve_column(s, run, channel, order, cyc))) return;
            continue;
        }
        const bool activating = s[ACTIVATING_SLOT] != NIL;
        if (activating && s[ACT2_BY] <= now) {
            s[CLK] = now;
            serve_second_activate(s, run, channel, now);
            continue;
        }
        Int until = activating ? now : limit, row_cyc = NEVER, first, command = 0, lane = 0;
        if (s[PRIO_LENGTH] > 0) {
            check_patience(s, table, run.front, now);
            first = first_active(s, table, now);
            const Maintenance head(s, table, now);
            command = head.command, lane = head.lane, row_cyc = head.cyc;
        } else {
            evaluate_mode(s, table, now);
            first = min(first_column(s, table, now), first_of_kind(s, table, PRE, now, 0));
            if (!activating) {
                first = min(first, first_of_kind(s, table, ACT, now, 0));
                until = min(limit, s[DUE] - 1);
            }
        }
        const Int first_cyc = tick_of(first, now), cyc = min(first_cyc, row_cyc);
        if (cyc > until) {
            s[CLK] = activating ? now : until;
            if (activating) serve_second_activate(s, run, channel, now);
            continue;
        }
        s[CLK] = cyc;
        if (row_cyc < first_cyc) {
            serve_maintenance(s, run, channel, command, lane, cyc);
            continue;
        }
        const Int order = order_of(first);
        Int freed;
        if (((order >> KIND_SHIFT) & 3) <= WR) {
            const bool needs_cas = cyc >= s[SYNC_END] && !table[T_ALWAYS_IN_SYNC];
            if (activating && needs_cas && s[ACT2_BY] <= cyc + 1) {
                serve_second_activate(s, run, channel, cyc);
                continue;
            }
            freed = serve_in_step(s, run, channel, order, cyc);
            if (needs_cas) continue;
        } else {
            freed = serve_row(s, run, channel, order, cyc);
        }
        if (is_over(s, wait, freed)) return;
    }
}

// ------------------------------------------------------------------------------------------------------------ streams

inline Int lane_of(const Int *request) { return (request[2] >> 1) & LANE_MASK; }

inline bool is_queued_hit(const Int *s, Int queue, Int lane) {
    const Int order = s[ORDER + queue * STRIDE + lane];
    return order < NONE && order & QUEUED;
}

inline bool may_stream(const Int *s, const Int *table, const Int *requests, Int n, Int i, Int queue) {
    const Int n_hits = s[N_KIND + queue];
    if (n_hits == 0 || n_hits > 3 || s[PRIO_LENGTH] > 0 || s[WRITE_MODE] != queue || i + WORTHWHILE > n) return false;
    const Int *request = requests + 3 * i;
    for (Int k = 1; k < WORTHWHILE; k++)
        if (request[3 * k + 2] != request[2] || request[3 * k + 1] != request[1]) return false;
    return !table[T_ROW_HIT_FIRST] && !would_switch(s, table);
}

inline Int pitch(const Int *table, Int queue, Int lane, Int other) {
    const Int n_lanes = table[T_LANES];
    return max(1, table[T_LATENCY + (queue * 5 * n_lanes + lane) * n_lanes + other]);
}

inline bool joins_a_list(const Int *s, Int queue, Int lane, Int row) {
    if (s[OPEN + lane] != row) return s[OTHER + queue * STRIDE + lane] != NIL;
    const Int active = s[ACTIVE + lane];
    return (active != NIL && s[IS_WRITE + active] == queue) || s[HIT + queue * STRIDE + lane] != NIL;
}

// How one or two banks with hits take turns: bank, other bank, first tick, ticks to the second, ticks from there.
struct Turns {
    Int lane = NIL, other = NIL, cyc = 0, step = 0, step2 = 0;
};

inline bool stream_lanes(const Int *s, const Int *table, Int queue, Turns &turns) {
    Int n_hits = s[N_KIND] + s[N_KIND + 1] - s[N_ACTIVE];
    if (n_hits < 1 || n_hits > 2) return false;
    for (Int k = 0; k < table[T_LANES] && n_hits > 0; k++) {
        if (!is_queued_hit(s, queue, k)) continue;
        if (s[OTHER + queue * STRIDE + k] != NIL) return false;
        turns.lane = turns.other;
        turns.other = k;
        n_hits--;
    }
    if (turns.lane == NIL) turns.lane = turns.other;
    return n_hits == 0;
}

inline bool next_turns(const Int *s, const Int *table, Int queue, Int to, Turns &turns) {
    const Int *place = s + queue * STRIDE;
    const Int now = s[CLK] + 1;
    Int lane = turns.lane, other = turns.other;
    Int cyc = max(place[READY + lane], now), cyc2 = max(place[READY + other], now);
    const Int own = pitch(table, queue, lane, lane), across = pitch(table, queue, lane, other);
    if (lane == other) {
        turns = {lane, lane, cyc, own, own};
        return true;
    }
    const Int key = s[KEY + place[HEAD + lane]], key2 = s[KEY + place[HEAD + other]];
    if (cyc2 < cyc || (cyc2 == cyc && key2 < key)) {
        lane = turns.other, other = turns.lane;
        const Int later = cyc;
        cyc = cyc2, cyc2 = later;
    }
    const Int step = max(cyc2 - cyc, across);
    if (across < own && (step + across <= own || step == across)) {
        turns = {lane, other, cyc, step, max(own - step, across)};
        return true;
    }
    turns = {lane, lane, cyc, own, own};
    return across >= own && to != lane && s[KEY + place[TAIL + lane]] < s[KEY + place[HEAD + other]];
}

inline void settle_head(Int *s, Int queue, Int lane, Int head) {
    Int *place = s + queue * STRIDE + lane;
    place[HEAD] = place[HIT] = head;
    s[BEFORE + head] = NIL;
    if (head == NIL) place[TAIL] = NIL;
    set_order(s, queue, lane, s[KEY + head] | queue << KIND_SHIFT | lane);
}

inline void settle_tail(Int *s, Int queue, Int lane, Int row, Int first, Int last) {
    Int *place = s + queue * STRIDE + lane;
    s[NEXT + last] = NIL;
    place[TAIL] = last;
    if (place[HEAD] == NIL) place[HEAD] = first;
    if (s[OPEN + lane] == row && place[HIT] == NIL) place[HIT] = first;
}

bool serve_in_turn(Int *s, const Run &run, const Int *requests, Int n, Int queue, const Turns &turns, Int limit) {
    const Int *table = run.table;
    Int lane = turns.lane, other = turns.other, cyc = turns.cyc, step = turns.step, step2 = turns.step2;
    Int i = run.front[F_NEXT];
    const Int first_i = i, *next = requests + 3 * i;
    const Int row = next[1], where = next[2], to = lane_of(next), code = table[T_COMMAND + queue];
    Int *place = s + queue * STRIDE;
    Int head = place[HEAD + lane], head2 = place[HEAD + other], tail = place[TAIL + to];
    const Int newcomer = head, age = s[AGE] - i, lag = table[T_READ_LATENCY];
    Int bank = table[T_BANK + lane], bank2 = table[T_BANK + other], finished = s[FINISHED];
    Int n_counted = 0, latencies = 0, digest = s[DIGEST];
    const bool filters = s[N_WRITE] > 0, alone = lane == other;
    for (; i < n && cyc < limit && head != NIL && next[2] == where && next[1] == row; i++, next += 3) {
        const Int address = next[0];
        if (filters && s[FILTER + filter_place(address)] > 0) break;
        const Int slot = head, request = s[REQUEST + slot];
        head = s[NEXT + slot];
        run.issue[request] = cyc;
        n_counted += s[COUNTED + slot];
        if (queue == RD) {
            const Int taken = cyc + lag - s[ARRIVED + slot];
            run.latency[request] = taken;
            latencies += taken;
            Int *ring = s + RING + 2 * (finished++ & (RING_SIZE - 1));
            ring[0] = cyc + lag;
            ring[1] = taken;
        } else {
            s[FILTER + filter_place(s[ADDRESS + slot])]--;
            s[FILTER + filter_place(address)]++;
        }
        digest = mixed(mixed(mixed(digest, cyc), code), bank);
        s[NEXT + tail] = slot;
        s[BEFORE + slot] = tail;
        s[KEY + slot] = QUEUED | (age + i) << AGE_SHIFT;
        s[ROW + slot] = row;
        s[REQUEST + slot] = i;
        s[ARRIVED + slot] = cyc;
        s[COUNTED + slot] = 0;
        s[ADDRESS + slot] = address;
        tail = slot;
        cyc += step;
        if (alone) continue;
        const Int its[] = {head, bank, step};
        head = head2, bank = bank2, step = step2;
        head2 = its[0], bank2 = its[1], step2 = its[2];
    }
    const Int n_served = i - first_i;
    if (n_served == 0) return false;
    run.front[F_NEXT] = i;
    run.front[F_STREAM_FROM] = head == NIL ? i : i + 1;
    settle_tail(s, queue, to, row, newcomer, tail);
    if (!alone) {
        if (n_served & 1) lane = turns.other, other = turns.lane;
        settle_head(s, queue, other, head2);
        if (n_served > 1) raise_ready(s, table, queue, lane, cyc - step - step2);
    }
    settle_head(s, queue, lane, head);
    raise_ready(s, table, queue, other, cyc - step2);
    s[CLK] = s[LAST_COLUMN] = cyc - step2;
    s[DIGEST] = digest;
    s[AGE] += n_served;
    s[HITS] += n_served - n_counted;
    s[READS + queue] += n_served;
    s[COUNTS + queue] += n_served;
    s[LATENCY_SUM] += latencies;
    s[FINISHED] = finished;
    return true;
}

bool stream_hits(Int *s, const Run &run, const Int *requests, Int n, Int queue) {
    const Int *table = run.table, *next = requests + 3 * run.front[F_NEXT];
    const Int to = lane_of(next), now = s[CLK] + 1;
    Turns turns;
    if (!joins_a_list(s, queue, to, next[1]) || !stream_lanes(s, table, queue, turns)) return false;
    if (!next_turns(s, table, queue, to, turns)) return false;
    if (to == turns.lane && s[NEXT + s[HEAD + queue * STRIDE + to]] == NIL) return false;
    const Int others = min(first_row(s, table, now), first_active(s, table, now));
    return serve_in_turn(s, run, requests, n, queue, turns, min(s[DUE], tick_of(others, now)));
}

// ---------------------------------------------------------------------------------------------------------- front end

inline bool accept(Int *s, const Run &run, const Int *request, Int number) {
    const Int queue = request[2] & 1, lane = lane_of(request);
    if (s[N_WRITE] > 0 && is_being_written(s, lane, request[0])) {
        if (queue) {
            s[COALESCED]++;
        } else {
            s[FORWARDED]++;
            run.front[F_UNISSUED]++;
            finish_read(s, run, number, s[CLK], s[CLK] + 1);
        }
        return true;
    }
    if (s[N_READ + queue] >= run.table[T_READ_QUEUE + queue]) return false;
    enqueue(s, run.table, queue, lane, request[1], request[0], number);
    run.front[F_UNISSUED] += 1 - queue;
    return true;
}

Int first_flying(const Run &run) {
    Int first = NEVER;
    for (Int k = 0; k < run.front[F_FLYING]; k++) first = min(first, run.flight[k]);
    return first;
}

bool wait_for_data(const Int *state, Int n_channels, const Run &run, Int tick) {
    Int n_flying = 0;
    for (Int k = 0; k < run.front[F_FLYING]; k++)
        if (run.flight[k] > tick - 1) run.flight[n_flying++] = run.flight[k];
    run.front[F_FLYING] = n_flying;
    if (run.front[F_UNISSUED] + n_flying < run.table[T_WINDOW]) return false;
    const Int latency = run.table[T_READ_LATENCY];
    run.front[F_CHANNEL] = run.front[F_CATCHING_UP] = 0;
    run.front[F_LIMIT] = min(tick - 1 + latency, first_flying(run) - latency - 1);
    for (Int channel = 0; channel < n_channels; channel++) {
        if (state[channel * WORDS + CLK] >= tick - 1) continue;
        run.front[F_CATCHING_UP] = 1;
        run.front[F_LIMIT] = tick - 1;
        break;
    }
    return true;
}

void take_tally(const Int *state, Int n_channels, Int cyc, Int *tally) {
    for (Int channel = 0; channel < n_channels; channel++, tally += N_TALLY) {
        const Int *s = state + channel * WORDS;
        for (Int k = 0; k < N_TALLY; k++) tally[k] = s[TALLY + k];
        Int total = 0, behind = 0;
        for (Int k = s[FINISHED] - 1; k >= max(0, s[FINISHED] - RING_SIZE); k--) {
            const Int *place = s + RING + 2 * (k & (RING_SIZE - 1));
            behind += place[1];
            if (place[0] > cyc) total = behind;
        }
        tally[LATENCY_SUM - TALLY] -= total;
    }
}

Int after_all_channels(const Int *state, Int n_channels, const Run &run, Int *tallies, Int phase) {
    Int *front = run.front;
    front[F_CHANNEL] = 0;
    if (phase == FLYING && front[F_CATCHING_UP]) return OFFERING;
    if (phase == FLYING) {
        const Int first = first_flying(run);
        for (Int channel = 0; channel < n_channels; channel++) {
            const Int *s = state + channel * WORDS;
            if (s[PENDING] > 0 && front[F_LIMIT] - s[LAST_COLUMN] > run.table[T_PATIENCE]) front[F_STATUS] = STARVED;
        }
        front[F_TICK] = first < NEVER ? first + 1 : max(front[F_LIMIT] + 1, front[F_TICK]);
        front[F_USED] = 0;
        return OFFERING;
    }
    if (phase == STOPPING) {
        take_tally(state, n_channels, front[F_STOP], tallies);
        front[F_LIMIT] = NEVER;
        return DRAINING;
    }
    if (phase == DRAINING) {
        front[F_DRAINED] = front[F_STOP];
        for (Int channel = 0; channel < n_channels; channel++)
            front[F_DRAINED] = max(front[F_DRAINED], state[channel * WORDS + LAST_COLUMN]);
        front[F_LIMIT] = front[F_DRAINED];
        return SETTLING;
    }
    take_tally(state, n_channels, front[F_DRAINED], tallies + n_channels * N_TALLY);
    front[F_STATUS] = DONE;
    return SETTLING;
}

inline void after_acceptance(const Run &run, Int tick, Int used) {
    Int *front = run.front;
    front[F_STOP] = tick - 1;
    used++;
    if (used == run.table[T_FE_RATIO] || tick == 1) {
        tick++;
        used = 0;
    }
    front[F_TICK] = tick;
    front[F_USED] = used;
}

Int next_channel(const Int *state, Int n_channels, const Run &run, Int *tallies) {
    const Int phase = run.front[F_PHASE];
    for (Int channel = run.front[F_CHANNEL]; channel < n_channels; channel++) {
        const Int *s = state + channel * WORDS;
        if (phase == DRAINING ? s[PENDING] == 0 : s[CLK] >= run.front[F_LIMIT]) continue;
        run.front[F_CHANNEL] = channel;
        return channel;
    }
    run.front[F_PHASE] = after_all_channels(state, n_channels, run, tallies, phase);
    return -1;
}

bool must_wait(const Int *state, Int n_channels, const Run &run, const Int *offers, Int n_offers, Int i) {
    Int *front = run.front;
    if (n_offers > 0 && offers[i] > front[F_TICK]) {
        front[F_TICK] = offers[i];
        front[F_USED] = 0;
    }
    if (run.table[T_WINDOW] == 0 || !wait_for_data(state, n_channels, run, front[F_TICK])) return false;
    front[F_PHASE] = FLYING;
    return true;
}

inline void take_forward(Int *s, const Run &run, Int channel, Int limit, Int wait) {
    const Int controller = run.table[T_CONTROLLER];
    if (controller == ONE_BUS)
        advance_one_bus(s, run, channel, limit, wait);
    else if (controller == SPLIT_ACTIVATE)
        advance_split(s, run, channel, limit, wait);
    else
        advance_two_buses(s, run, channel, limit, wait);
}

}  // namespace twin

// Does what the kernel's `run_events` does, to the same arrays; of those that may be empty it takes the length too.
extern "C" void run_events(Int *state, Int n_channels, const Int *table, const Int *requests, Int n, const Int *offers,
                           Int n_offers, Int *latency, Int *issue, Int *flight, Int *log, Int log_rows, Int *front,
                           Int *tallies, Int until) {
    using namespace twin;
    const Run run{table, latency, issue, flight, log, log_rows, front};
    const Int room = run.room();
    const bool paced = n_offers > 0 || table[T_WINDOW] > 0;
    const bool streams = table[T_CONTROLLER] == ONE_BUS && !paced && log_rows == 0;
    while (front[F_STATUS] == RUNNING && front[F_LOGGED] < room) {
        const Int i = front[F_NEXT], phase = front[F_PHASE];
        Int wait = front[F_WAIT], channel, limit;
        if (phase != OFFERING) {
            channel = next_channel(state, n_channels, run, tallies);
            if (channel < 0) continue;
            limit = front[F_LIMIT];
            wait = phase == DRAINING ? WAIT_DRAINED : NO_WAIT;
        } else if (i == n) {
            front[F_PHASE] = STOPPING, front[F_LIMIT] = front[F_STOP], front[F_CHANNEL] = 0;
            continue;
        } else if (i >= until) {
            break;
        } else {
            if (paced && wait == NO_WAIT && must_wait(state, n_channels, run, offers, n_offers, i)) continue;
            channel = requests[3 * i + 2] >> CHANNEL_SHIFT;
            limit = wait == NO_WAIT ? front[F_TICK] - 1 : NEVER;
        }
        Int *s = state + channel * WORDS;
        if (streams && phase == OFFERING && wait != NO_WAIT && i >= front[F_STREAM_FROM] &&
            may_stream(s, table, requests, n, i, wait)) {
            if (stream_hits(s, run, requests, n, wait)) {
                front[F_WAIT] = NO_WAIT;
                after_acceptance(run, s[CLK] + 1, 0);
                continue;
            }
            front[F_STREAM_FROM] = i + 2;
        }
        if (s[CLK] < limit) take_forward(s, run, channel, limit, wait);
        if (phase != OFFERING) continue;
        if (wait != NO_WAIT) {
            if (s[N_READ + wait] >= table[T_READ_QUEUE + wait]) continue;
            front[F_TICK] = s[CLK] + 1, front[F_USED] = 0, front[F_WAIT] = NO_WAIT;
        } else if (s[CLK] < limit) {
            continue;
        }
        if (accept(s, run, requests + 3 * i, i)) {
            front[F_NEXT] = i + 1;
            after_acceptance(run, front[F_TICK], front[F_USED]);
        } else {
            front[F_WAIT] = requests[3 * i + 2] & 1;
        }
    }
}

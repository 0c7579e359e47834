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

inline bool only_hits(const Int *s, const Int *table, Int queue) {
    const Int others = s[N_KIND + 1 - queue] + s[N_KIND + ACT] + s[N_KIND + PRE] + s[N_ACTIVE] + s[PRIO_LENGTH];
    const Int n_hits = s[N_KIND + queue];
    return others + table[T_ROW_HIT_FIRST] == 0 && 0 < n_hits && n_hits <= 2 && s[WRITE_MODE] == queue &&
           !would_switch(s, table);
}

inline Int hit_lane(const Int *s, const Int *table, Int queue, Int first) {
    while (first < table[T_LANES] && s[ORDER + queue * STRIDE + first] >= NONE) first++;
    return first;
}

inline bool continues(const Int *s, const Int *request, Int channel, Int queue, Int lane, Int other) {
    const Int mine = request[1];
    return request[0] == channel && request[4] == queue && (mine == lane || mine == other) &&
           s[OPEN + mine] == request[2] && (s[N_WRITE] == 0 || s[FILTER + filter_place(request[3])] == 0);
}

inline Int pitch(const Int *table, Int queue, Int lane, Int other) {
    const Int n_lanes = table[T_LANES];
    return table[T_LATENCY + (queue * 5 * n_lanes + lane) * n_lanes + other];
}

inline void replace_oldest(Int *s, Int queue, Int lane, Int to, Int address, Int request, Int clk) {
    Int *place = s + queue * STRIDE + lane;
    const Int slot = place[HEAD];
    const Int head = s[NEXT + slot];
    place[HEAD] = head;
    s[BEFORE + head] = NIL;
    if (head == NIL) place[TAIL] = NIL;
    place = s + queue * STRIDE + to;
    const Int tail = place[TAIL];
    s[NEXT + tail] = slot;
    s[NEXT + slot] = NIL;
    s[BEFORE + slot] = tail;
    if (tail == NIL) place[HEAD] = slot;
    place[TAIL] = slot;
    s[KEY + slot] = QUEUED | s[AGE]++ << AGE_SHIFT;
    s[ROW + slot] = s[OPEN + to];
    s[REQUEST + slot] = request;
    s[ARRIVED + slot] = clk;
    s[COUNTED + slot] = 0;
    if (queue) {
        s[FILTER + filter_place(s[ADDRESS + slot])]--;
        s[FILTER + filter_place(address)]++;
    }
    s[ADDRESS + slot] = address;
}

bool stream_hits(Int *s, const Run &run, const Int *requests, Int n, Int channel, Int queue, Int room) {
    const Int *table = run.table;
    const Int n_lanes = table[T_LANES];
    const Int lane = hit_lane(s, table, queue, 0);
    Int other = hit_lane(s, table, queue, lane + 1);
    const bool alone = other == n_lanes;
    if (alone) other = lane;
    Int ready = s[READY + queue * STRIDE + lane];
    Int other_ready = alone ? NEVER : s[READY + queue * STRIDE + other];
    const Int to_self = pitch(table, queue, lane, lane);
    const Int to_other = alone ? NEVER : pitch(table, queue, lane, other);
    const Int to_first = alone ? NEVER : pitch(table, queue, other, lane);
    const Int *heads = s + HEAD + queue * STRIDE;
    const Int due = s[DUE];
    Int cyc = s[CLK], i = run.front[F_NEXT], last = -1, other_last = -1, n_first = 0, n_hits = 0;
    for (; i < n && run.front[F_LOGGED] < room && continues(s, requests + 5 * i, channel, queue, lane, other); i++) {
        const Int now = cyc + 1, slot = heads[lane], other_slot = heads[other];
        const Int mine = slot != NIL ? max(ready, now) : NEVER;
        const Int its = !alone && other_slot != NIL ? max(other_ready, now) : NEVER;
        const bool takes_first = mine < its || (mine == its && s[KEY + slot] < s[KEY + other_slot]);
        const Int issued = takes_first ? mine : its;
        if (issued >= due) break;
        cyc = issued;
        (takes_first ? last : other_last) = cyc;
        ready = max(ready, cyc + (takes_first ? to_self : to_first));
        other_ready = max(other_ready, cyc + (takes_first ? to_other : to_self));
        const Int served = takes_first ? lane : other, leaving = takes_first ? slot : other_slot;
        const Int request = s[REQUEST + leaving];
        n_first += 1 - s[COUNTED + leaving];
        n_hits++;
        run.issue[request] = cyc;
        if (queue == RD) finish_read(s, run, request, s[ARRIVED + leaving], cyc + table[T_READ_LATENCY]);
        note_command(s, run, channel, queue, served, request, cyc);
        replace_oldest(s, queue, served, requests[5 * i + 1], requests[5 * i + 3], i, cyc);
    }
    if (n_hits == 0) return false;
    s[CLK] = cyc;
    s[LAST_COLUMN] = cyc;
    s[HITS] += n_first;
    s[READS + queue] += n_hits;
    run.front[F_NEXT] = i;
    if (last >= 0) raise_ready(s, table, queue, lane, last);
    if (other_last >= 0) raise_ready(s, table, queue, other, other_last);
    const Int lanes[] = {lane, other};
    for (Int mine : lanes) {
        Int *place = s + queue * STRIDE + mine;
        place[HIT] = place[HEAD];
        set_order(s, queue, mine, s[KEY + place[HIT]] | queue << KIND_SHIFT | mine);
    }
    return true;
}

// ---------------------------------------------------------------------------------------------------------- front end

inline bool accept(Int *s, const Run &run, const Int *request, Int number) {
    const Int queue = request[4];
    if (s[N_WRITE] > 0 && is_being_written(s, request[1], request[3])) {
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
    enqueue(s, run.table, queue, request[1], request[2], request[3], number);
    run.front[F_UNISSUED] += 1 - queue;
    return true;
}

Int first_flying(const Run &run) {
    Int first = NEVER;
    for (Int k = 0; k < run.front[F_FLYING]; k++) first = min(first, run.flight[k]);
    return first;
}

bool wait_for_data(const Run &run, Int tick) {
    Int n_flying = 0;
    for (Int k = 0; k < run.front[F_FLYING]; k++)
        if (run.flight[k] > tick - 1) run.flight[n_flying++] = run.flight[k];
    run.front[F_FLYING] = n_flying;
    if (run.front[F_UNISSUED] + n_flying < run.table[T_WINDOW]) return false;
    const Int latency = run.table[T_READ_LATENCY];
    run.front[F_LIMIT] = min(tick - 1 + latency, first_flying(run) - latency - 1);
    run.front[F_CHANNEL] = 0;
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
    if (phase == FLYING) {
        const Int first = first_flying(run);
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

}  // namespace twin

// Does what the kernel's `run_events` does, to the same arrays; of those that may be empty it takes the length too.
extern "C" void run_events(Int *state, Int n_channels, const Int *table, const Int *requests, Int n, const Int *offers,
                           Int n_offers, Int *latency, Int *issue, Int *flight, Int *log, Int log_rows, Int *front,
                           Int *tallies, Int until) {
    using namespace twin;
    const Run run{table, latency, issue, flight, log, log_rows, front};
    const Int room = run.room(), controller = table[T_CONTROLLER], fe_ratio = table[T_FE_RATIO];
    const bool can_stream = controller == ONE_BUS && n_offers == 0 && table[T_WINDOW] == 0;
    Int phase = front[F_PHASE], i = front[F_NEXT], tick = front[F_TICK], used = front[F_USED], wait = front[F_WAIT];
    while (front[F_STATUS] == RUNNING && front[F_LOGGED] < room) {
        Int queue = NO_WAIT, channel, limit;
        if (phase == OFFERING) {
            if (i == n) {
                phase = STOPPING;
                front[F_LIMIT] = front[F_STOP];
                front[F_CHANNEL] = 0;
                continue;
            }
            if (i >= until) break;
            channel = requests[5 * i];
            queue = wait;
            if (n_offers > 0 && offers[i] > tick) {
                tick = offers[i];
                used = 0;
            }
            if (table[T_WINDOW] > 0 && wait == NO_WAIT && wait_for_data(run, tick)) {
                front[F_TICK] = tick;
                phase = FLYING;
                continue;
            }
            limit = wait == NO_WAIT ? tick - 1 : NEVER;
        } else {
            channel = front[F_CHANNEL];
            if (channel == n_channels) {
                phase = after_all_channels(state, n_channels, run, tallies, phase);
                if (phase == OFFERING) {
                    tick = front[F_TICK];
                    used = front[F_USED];
                }
                continue;
            }
            if (phase == DRAINING) {
                queue = WAIT_DRAINED;
                if (state[channel * WORDS + PENDING] == 0) {
                    front[F_CHANNEL]++;
                    continue;
                }
            }
            limit = front[F_LIMIT];
        }
        Int *s = state + channel * WORDS;
        if (wait != NO_WAIT && can_stream && only_hits(s, table, wait)) {
            front[F_NEXT] = i;
            if (stream_hits(s, run, requests, n, channel, wait, room)) {
                i = front[F_NEXT];
                front[F_STOP] = s[CLK];
                tick = front[F_STOP] + 1, used = 1, wait = NO_WAIT;
                if (fe_ratio == 1) tick++, used = 0;
                continue;
            }
        }
        if (s[CLK] < limit) {
            if (controller == ONE_BUS)
                advance_one_bus(s, run, channel, limit, queue);
            else if (controller == SPLIT_ACTIVATE)
                advance_split(s, run, channel, limit, queue);
            else
                advance_two_buses(s, run, channel, limit, queue);
        }
        if (phase != OFFERING) {
            if (phase != DRAINING && s[CLK] >= limit) front[F_CHANNEL] = channel + 1;
            continue;
        }
        const Int is_write = requests[5 * i + 4];
        if (wait != NO_WAIT) {
            if (s[N_READ + wait] >= table[T_READ_QUEUE + wait]) continue;
            tick = s[CLK] + 1;
            used = 0;
            wait = NO_WAIT;
        } else if (s[CLK] < limit) {
            continue;
        }
        if (!accept(s, run, requests + 5 * i, i)) {
            wait = is_write;
            continue;
        }
        front[F_STOP] = tick - 1;
        i++;
        used++;
        if (used == fe_ratio || tick == 1) {
            tick++;
            used = 0;
        }
    }
    front[F_PHASE] = phase, front[F_NEXT] = i, front[F_TICK] = tick, front[F_USED] = used, front[F_WAIT] = wait;
}

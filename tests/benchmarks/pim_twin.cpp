// The timing kernel of a channel with processing units in C++: what the kernel's speed is measured against.
//
// Same algorithm, same results, same vector of words; places of words and codes come from simulator/kernels/hbm_pim_queue.py, as macros
// on the compiler's command line.

#include <cstdint>
#include <vector>

using Int = std::int64_t;

namespace {

constexpr Int max(Int a, Int b) { return a > b ? a : b; }
constexpr Int min(Int a, Int b) { return a < b ? a : b; }

struct Channel {
    std::vector<Int> store;
    Int *w;
    const Int *runs, *patterns;
    Int n_runs, pattern_length, first, end;

    Channel(const Int *rules, const Int *runs_, Int n_runs_, const Int *patterns_, Int pattern_length_)
        : runs(runs_), patterns(patterns_), n_runs(n_runs_), pattern_length(pattern_length_) {
        const Int n_ranks = (rules[N_GROUPS] - 1) / rules[GROUPS_PER_RANK] + 1;
        first = BANKS + N_BANK_WORDS * rules[N_BANKS] + N_GROUP_WORDS * (rules[N_GROUPS] + n_ranks);
        end = first + 2 * N_SEGMENT * rules[QUEUE];
        store.assign(end, 0);
        w = store.data();
        for (Int i = 0; i < N_RULES; i++) w[i] = rules[i];
        for (Int i = BANKS; i < first; i++) w[i] = NEVER;
        for (Int bank = 0; bank < rules[N_BANKS]; bank++) w[BANKS + N_BANK_WORDS * bank + OPEN] = -1;
        w[HEAD] = w[TAIL] = first;
        for (Int i = LAST_ACT; i <= LAST_REF; i++) w[i] = NEVER;
        w[MAC_WAIT] = w[MAC_MAC];
        w[NEXT_REFRESH] = w[REFI];
    }

    static bool is_move(Int kind) { return kind != MAC && kind != BARRIER; }

    bool has_more() {
        if (w[COMING + COUNT] > 0) return true;
        while (w[AT] < n_runs && w[OFFSET] >= runs[w[AT] * N_RUN_COLUMNS + 1]) w[AT]++, w[OFFSET] = 0;
        if (w[AT] >= n_runs) return false;
        const Int *run = runs + w[AT] * N_RUN_COLUMNS;
        const Int kind = run[0], offset = w[OFFSET];
        Int group, n;
        w[COMING + KIND] = kind;
        if (kind == MAC) {
            const Int n_groups = w[N_GROUPS_IN_TURN], n_banks = w[N_BANKS_IN_TURN], per_row = w[COLUMNS_PER_ROW];
            const Int column = run[3] + offset, rest = column / n_groups;
            group = column % n_groups;
            const Int bank = w[BANK_TURNS_FIRST] ? rest % n_banks : (rest / per_row) % n_banks;
            w[COMING + BANK] = BANKS + N_BANK_WORDS * (group * n_banks + bank);
            w[COMING + ROW] = run[2] + rest / (n_banks * per_row);
            n = n_groups > 1 || (w[BANK_TURNS_FIRST] && n_banks > 1) ? 1 : per_row - rest % per_row;
            w[COMING + BUSY] = run[5];
        } else {
            const Int repeat = run[5], place = run[6] + offset;
            w[COMING + BANK] = w[COMING + ROW] = -1;
            w[COMING + BUSY] = 0;
            group = patterns[run[4] * pattern_length + (place / repeat) % pattern_length];
            n = kind == BARRIER ? 1 : repeat - place % repeat;
        }
        const Int groups = BANKS + N_BANK_WORDS * w[N_BANKS];
        w[COMING + GROUP] = groups + N_GROUP_WORDS * group;
        w[COMING + RANK] = groups + N_GROUP_WORDS * (w[N_GROUPS] + group / w[GROUPS_PER_RANK]);
        w[COMING + COUNT] = n = min(n, run[1] - offset);
        w[OFFSET] = offset + n;
        return true;
    }

    void take(Int n) {
        w[N_QUEUED] += n;
        w[COMING + COUNT] -= n;
        const Int kind = w[COMING + KIND], last = w[TAIL] - N_SEGMENT;
        Int tail = w[TAIL];
        if (is_move(kind)) w[N_MOVES] += n;
        bool is_same = tail > w[HEAD] && kind != BARRIER;
        for (Int k = 0; k < COUNT && is_same; k++) is_same = w[last + k] == w[COMING + k];
        if (is_same) {
            w[last + COUNT] += n;
            return;
        }
        if (tail == end) {
            const Int head = w[HEAD];
            for (Int i = head; i < tail; i++) w[first + i - head] = w[i];
            tail = first + tail - head;
            w[HEAD] = first;
        }
        for (Int k = 0; k < COUNT; k++) w[tail + k] = w[COMING + k];
        w[tail + COUNT] = n;
        w[TAIL] = tail + N_SEGMENT;
    }

    void remove(Int at) {
        w[N_QUEUED]--;
        if (is_move(w[at + KIND])) w[N_MOVES]--;
        if (--w[at + COUNT] > 0) return;
        for (Int i = at - 1; i >= w[HEAD]; i--) w[i + N_SEGMENT] = w[i];
        w[HEAD] += N_SEGMENT;
    }

    Int column_ready(Int at) const {
        const Int group = w[at + GROUP], rank = w[at + RANK];
        if (w[at + KIND] == MAC) {
            const Int ready = max(w[w[at + BANK] + ACTED] + w[ACT_MAC], w[LAST_MAC] + w[MAC_WAIT]);
            return max(max(ready, w[rank + DONE] + w[MAC_MAC_RANK]), w[group + DONE] + w[MAC_MAC_GROUP]);
        }
        const Int ready = max(w[LAST_MOVE] + w[MOVE_BUS], w[rank + MOVED] + w[MOVE_RANK]);
        return max(ready, w[group + MOVED] + w[MOVE_GROUP]);
    }

    void count_wait(Int tick) {
        const Int waited = w[LAST_MAC] >= 0 ? tick - w[LAST_MAC] - w[MAC_WAIT] : tick;
        w[w[GAP_HAS_REFRESH] ? REFRESH_TICKS : w[GAP_HAS_ACT] ? ROW_TICKS : MOVE_TICKS] += waited;
        w[GAP_HAS_ACT] = w[GAP_HAS_REFRESH] = 0;
    }

    void issue_column(Int at, Int tick) {
        const Int kind = w[at + KIND], group = w[at + GROUP], rank = w[at + RANK];
        w[COUNTS + kind]++;
        if (kind == MAC) {
            count_wait(tick);
            w[MAC_WAIT] = max(w[MAC_MAC], w[at + BUSY]);
            w[w[at + BANK] + READ] = w[LAST_MAC] = w[group + DONE] = w[rank + DONE] = tick;
        } else {
            w[LAST_MOVE] = w[group + MOVED] = w[rank + MOVED] = tick;
        }
        remove(at);
    }

    Int held(Int bank, Int row) const {
        if (w[bank + OPEN] == row) return 0;
        const Int head = w[HEAD];
        if (head == w[TAIL] || w[head + KIND] != MAC || w[head + BANK] != bank) return -1;
        return w[bank + OPEN] == w[head + ROW] ? 1 : -1;
    }

    Int n_held() const {
        Int n = 0;
        for (Int i = w[HEAD]; i < w[TAIL]; i += N_SEGMENT) {
            if (w[i + KIND] == MAC) {
                const Int one = held(w[i + BANK], w[i + ROW]);
                if (one < 0) return -1;
                n += one;
            } else if (w[i + KIND] == BARRIER && i == w[HEAD]) {
                return -1;
            }
        }
        return n;
    }

    Int fill(Int n_held) {
        Int room = w[QUEUE] - w[N_QUEUED];
        while (room > 0 && has_more()) {
            if (w[COMING + KIND] == MAC && n_held >= 0) {
                const Int one = held(w[COMING + BANK], w[COMING + ROW]);
                n_held = one >= 0 ? n_held + one : -1;
            }
            const Int n = min(room, w[COMING + COUNT]);
            take(n);
            room -= n;
        }
        return n_held;
    }

    Int next_column(Int floor, Int &earliest) const {
        const Int first_product = max(floor, w[LAST_MAC] + w[MAC_WAIT]);
        Int found = -1;
        earliest = FAR;
        for (Int i = w[HEAD]; i < w[TAIL] && w[i + KIND] != BARRIER; i += N_SEGMENT) {
            const bool is_product = w[i + KIND] == MAC;
            if (is_product && (earliest <= first_product || w[w[i + BANK] + OPEN] != w[i + ROW])) continue;
            const Int ready = max(column_ready(i), floor);
            if (ready < earliest) found = i, earliest = ready;
            if ((is_product && ready <= first_product && w[N_MOVES] == 0) || earliest == floor) break;
        }
        return found;
    }

    bool issue_row(Int from) {
        Int head = w[HEAD], n = 0;
        bool has_barrier = false;
        for (Int i = head + N_SEGMENT; i < w[TAIL] && !has_barrier; i += N_SEGMENT) {
            has_barrier = w[i + KIND] == BARRIER;
            if (!has_barrier && (w[i + KIND] != MAC || w[i + BANK] != w[head + BANK])) return false;
        }
        const Int wait = max(w[MAC_MAC], w[head + BUSY]);
        const Int distance = max(wait, max(w[MAC_MAC_RANK], w[MAC_MAC_GROUP]));
        const Int most = (w[NEXT_REFRESH] - 1 - from) / distance + 1;
        while (n < most) {
            Int step = min(most - n, w[w[HEAD] + COUNT] - 1);
            if (step > 0 && has_more()) {
                const Int kind = w[COMING + KIND], bank = w[COMING + BANK];
                if (kind == MAC && (held(bank, w[COMING + ROW]) < 0 || !(has_barrier || bank == w[w[HEAD] + BANK]))) break;
                if (is_move(kind) && !has_barrier) break;
                has_barrier |= kind == BARRIER;
                step = min(step, w[COMING + COUNT]);
                take(step);
            }
            if (step <= 0) break;
            w[w[HEAD] + COUNT] -= step;
            w[N_QUEUED] -= step;
            n += step;
        }
        if (n == 0) return false;
        head = w[HEAD];
        count_wait(from);
        w[COUNTS + MAC] += n;
        w[MOVE_TICKS] += (n - 1) * (distance - wait);
        const Int last = from + (n - 1) * distance;
        w[MAC_WAIT] = wait;
        w[NOW] = w[w[head + BANK] + READ] = w[LAST_MAC] = w[w[head + GROUP] + DONE] = w[w[head + RANK] + DONE] = last;
        return true;
    }

    void run_columns() {
        Int held_now = n_held();
        while (held_now >= 0 && w[N_QUEUED] > 0) {
            Int ready;
            const Int at = next_column(w[NOW] + 1, ready), head = w[HEAD];
            if (ready >= w[NEXT_REFRESH]) {
                w[NOW] = w[NEXT_REFRESH] - 1;
                return;
            }
            const bool next_is_barrier = head + N_SEGMENT < w[TAIL] && w[head + N_SEGMENT + KIND] == BARRIER;
            if (at == head && w[head + COUNT] == 1 && (held_now > 0 || next_is_barrier)) {
                w[NOW] = ready - 1;
                return;
            }
            if (at == head && w[head + KIND] == MAC && w[head + COUNT] > 1 && issue_row(ready)) {
                held_now = n_held();
                continue;
            }
            issue_column(at, ready);
            w[NOW] = ready;
            held_now = fill(held_now);
            if (w[N_QUEUED] > 0 && w[w[HEAD] + KIND] == BARRIER) return;
        }
    }

    Int row_ready(Int bank) const {
        const Int ready = w[LAST_ACT] + w[ACT_ANY];
        if (w[bank + OPEN] >= 0) return max(ready, max(w[bank + READ] + w[MAC_PRE], w[bank + ACTED] + w[ACT_PRE]));
        const Int own = max(w[bank + CLOSED] + w[PRE_ACT], w[bank + ACTED] + w[ACT_ACT]);
        return max(max(ready, own), max(w[LAST_PREA] + w[PREA_ACT], w[LAST_REF] + w[REF_ACT]));
    }

    bool is_wanted(Int bank) const {
        for (Int i = w[HEAD]; i < w[TAIL]; i += N_SEGMENT)
            if (w[i + KIND] == MAC && w[i + BANK] == bank && w[i + ROW] == w[bank + OPEN]) return true;
        return false;
    }

    Int pick(bool may_row, bool may_column, bool &is_row, Int &earliest) const {
        earliest = FAR;
        for (Int i = w[HEAD]; i < w[TAIL]; i += N_SEGMENT) {
            if (w[i + KIND] == BARRIER) {
                may_column = false;
                continue;
            }
            const Int bank = w[i + BANK];
            is_row = w[i + KIND] == MAC && w[bank + OPEN] != w[i + ROW];
            if (!(is_row ? may_row : may_column)) continue;
            const Int ready = is_row ? row_ready(bank) : column_ready(i);
            if (ready <= w[NOW]) {
                if (is_row && i > w[HEAD] && w[bank + OPEN] >= 0 && is_wanted(bank)) continue;
                return i;
            }
            earliest = min(earliest, ready);
        }
        return -1;
    }

    void issue_row_command(Int at) {
        const Int bank = w[at + BANK];
        if (w[bank + OPEN] < 0) {
            w[bank + OPEN] = w[at + ROW];
            w[bank + ACTED] = w[LAST_ACT] = w[NOW];
            w[N_OPEN]++, w[N_ACT]++;
            w[GAP_HAS_ACT] = 1;
        } else {
            w[bank + OPEN] = -1;
            w[bank + CLOSED] = w[NOW];
            w[N_OPEN]--, w[N_PRE]++;
        }
    }

    bool refresh(Int &ready) {
        const Int banks_end = BANKS + N_BANK_WORDS * w[N_BANKS];
        if (w[N_OPEN] > 0) {
            ready = max(w[LAST_ACT] + w[ACT_PREA], w[LAST_MAC] + w[MAC_PREA]);
            if (ready > w[NOW]) return false;
            for (Int bank = BANKS; bank < banks_end; bank += N_BANK_WORDS) w[bank + OPEN] = -1;
            w[N_OPEN] = 0;
            ready = w[LAST_PREA] = w[NOW];
            return true;
        }
        ready = max(w[LAST_PREA] + w[PREA_REF], w[LAST_ACT] + w[ACT_REF]);
        for (Int bank = BANKS; bank < banks_end; bank += N_BANK_WORDS) ready = max(ready, w[bank + CLOSED] + w[PRE_REF]);
        const bool is_first = w[WAITING] % w[N_REF] == 0;
        if (is_first) ready = max(ready, w[LAST_REF] + w[REF_REF]);
        if (ready > w[NOW]) return false;
        if (is_first) {
            w[LAST_REF] = w[NOW];
            w[N_REFRESH]++;
            w[GAP_HAS_REFRESH] = 1;
        }
        w[WAITING]--;
        ready = w[NOW];
        return true;
    }

    bool serve(bool may_row, Int &earliest) {
        bool may_column = true, changed = false, is_row = false;
        earliest = FAR;
        for (int slot = 0; slot < 2; slot++) {
            if (w[N_QUEUED] > 0 && w[w[HEAD] + KIND] == BARRIER) {
                remove(w[HEAD]);
                changed = true;
                w[COUNTS + BARRIER]++;
                if (w[N_QUEUED] > 0 && w[w[HEAD] + KIND] == BARRIER) break;
            }
            if (w[N_QUEUED] == 0) break;
            Int ready;
            const Int at = pick(may_row, may_column, is_row, ready);
            if (at < 0) {
                earliest = min(earliest, ready);
                break;
            }
            changed = true;
            if (is_row) {
                may_row = false;
                issue_row_command(at);
            } else {
                may_column = false;
                issue_column(at, w[NOW]);
            }
        }
        return changed;
    }

    void tick() {
        if (++w[NOW] >= w[NEXT_REFRESH]) {
            w[WAITING] += w[N_REF];
            w[NEXT_REFRESH] += w[REFI];
        }
        Int earliest = w[NEXT_REFRESH], ready;
        const bool may_row = w[WAITING] == 0;
        bool changed = false;
        if (!may_row) {
            changed = refresh(ready);
            earliest = min(earliest, ready);
        }
        changed |= serve(may_row, ready);
        earliest = min(earliest, ready);
        if (!changed && earliest > w[NOW] + 1) w[NOW] = earliest - 1;
    }
};

}  // namespace

extern "C" Int run_channel(const Int *runs, Int n_runs, const Int *patterns, Int pattern_length, const Int *rules, Int *counts) {
    Channel channel(rules, runs, n_runs, patterns, pattern_length);
    Int *w = channel.w;
    for (;;) {
        channel.fill(-1);
        if (w[N_QUEUED] == 0 && w[WAITING] == 0) break;
        if (w[WAITING] == 0) {
            channel.run_columns();
            if (w[N_QUEUED] == 0) continue;
        }
        channel.tick();
    }
    for (Int i = 0; i < N_COUNTS; i++) counts[i] = w[COUNTS + i];
    return w[NOW] + 1;
}

// The in-order path of the AiM timing kernel, command by command, in C++: what the kernel's speed is measured against.
//
// AiM instructions only (no plain reads or writes), and no classes that part and meet. Word offsets of the table and codes come from
// simulator/kernels/aim_state.py, as macros on the compiler's command line. The kernel keeps a channel in one vector of
// words, this twin in a struct; what is computed, and in which order, is the same.

#include <cstdint>
#include <vector>

using Int = std::int64_t;

namespace {

constexpr Int max(Int a, Int b) { return a > b ? a : b; }
constexpr Int min(Int a, Int b) { return a < b ? a : b; }

struct Channel {
    Int mode = 0;
    Int uniform = -1;  // row open in all banks, -1 all closed, -2 neither
    Int cursor = 1;
    Int last_reply = 0;
    Int writes_done = 0;
    Int aim_index = 0;
    Int due = NEVER;
    Int open_since = -1;
    Int active_cyc = 0;
    Int open[N_BANKS];
    Int ready[N_COMMANDS];
    Int ready_group[N_GROUPS][N_LOCAL];
    Int ready_bank[N_BANKS][N_LOCAL];
    Int counts[N_COMMANDS] = {};
    Int issues[RING] = {};

    explicit Channel(const Int *table) {
        for (Int &row : open) row = -1;
        for (Int &at : ready) at = -NEVER;
        for (auto &group : ready_group)
            for (Int &at : group) at = -NEVER;
        for (auto &bank : ready_bank)
            for (Int &at : bank) at = -NEVER;
        if (table[T_REFI] > 0) due = table[T_REFI];
    }
};

template <Int N>
inline void raise(Int *ready, Int cyc, const Int *rule) {
    for (Int k = 0; k < N; k++) ready[k] = max(ready[k], cyc + rule[k]);
}

inline void issue(Channel &channel, const Int *table, Int command, Int bank, Int cyc) {
    raise<N_COMMANDS>(channel.ready, cyc, table + T_CHANNEL + command * N_COMMANDS);
    if (table[T_HAS_GROUP + command])
        raise<N_LOCAL>(channel.ready_group[bank / BANKS_PER_GROUP], cyc, table + T_GROUP + command * N_LOCAL);
    if (table[T_HAS_BANK + command])
        raise<N_LOCAL>(channel.ready_bank[bank], cyc, table + T_BANK + command * N_LOCAL);
    channel.counts[command]++;
    channel.cursor = cyc + 1;
}

void all_closed(Channel &channel, Int cyc) {
    for (Int &row : channel.open) row = -1;
    channel.uniform = -1;
    if (channel.open_since >= 0) {
        channel.active_cyc += cyc - channel.open_since;
        channel.open_since = -1;
    }
}

void refresh(Channel &channel, const Int *table, Int until) {
    if (channel.uniform != -1) {
        const Int cyc = max(channel.due, max(channel.cursor, channel.ready[PREA]));
        if (cyc >= until) {
            channel.cursor = until;
            return;
        }
        issue(channel, table, PREA, 0, cyc);
        all_closed(channel, cyc);
    }
    const Int cyc = max(channel.due, max(channel.cursor, channel.ready[REFAB]));
    if (cyc >= until) {
        channel.cursor = until;
        return;
    }
    issue(channel, table, REFAB, 0, cyc);
    channel.due += table[T_REFI];
}

inline void idle_until(Channel &channel, const Int *table, Int until) {
    while (channel.cursor < until) {
        if (channel.due <= channel.cursor)
            refresh(channel, table, until);
        else
            channel.cursor = min(until, channel.due);
    }
}

Int needed_all(const Channel &channel, Int row) {
    if (channel.uniform == row) return -1;
    if (channel.uniform == -1) return ACT16;
    if (channel.uniform >= 0) return PREA;
    for (Int is_open : channel.open)
        if (is_open >= 0 && is_open != row) return PREA;
    return ACT16;
}

Int needed_one(const Channel &channel, Int bank, Int row) {
    const Int is_open = channel.open[bank];
    if (is_open == row) return -1;
    return is_open < 0 ? ACT : PRE;
}

inline Int ready_one(const Channel &channel, const Int *table, Int command, Int bank) {
    const Int local = table[T_LOCAL + command];
    const Int of_group = channel.ready_group[bank / BANKS_PER_GROUP][local];
    return max(channel.ready[command], max(of_group, channel.ready_bank[bank][local]));
}

void settle_rows(Channel &channel, Int command, Int bank, Int row, Int cyc) {
    if (command == PREA) {
        all_closed(channel, cyc);
        return;
    }
    if (channel.open_since < 0) channel.open_since = cyc;
    if (command == ACT16) {
        for (Int &is_open : channel.open) is_open = row;
        channel.uniform = row;
        return;
    }
    channel.open[bank] = command == ACT ? row : -1;
    const Int first = channel.open[0];
    for (Int is_open : channel.open)
        if (is_open != first) {
            channel.uniform = -2;
            return;
        }
    channel.uniform = first;
    if (first < 0) all_closed(channel, cyc);
}

inline Int open_for(Channel &channel, const Int *table, Int opcode, Int bank, Int row) {
    const Int needs = table[T_NEEDS + opcode];
    while (true) {
        Int command = -1;
        if (needs == 2)
            command = needed_all(channel, row);
        else if (needs == 1)
            command = needed_one(channel, bank, row);
        const Int wanted = command < 0 ? table[T_FINAL + opcode] : command;
        const Int ready = needs == 1 ? ready_one(channel, table, wanted, bank) : channel.ready[wanted];
        const Int cyc = max(channel.cursor, ready);
        if (cyc >= channel.due) {
            refresh(channel, table, NEVER);
            continue;
        }
        if (table[T_REGISTER + opcode] != channel.mode) {
            issue(channel, table, TMOD, 0, cyc);
            channel.mode = 1 - channel.mode;
            continue;
        }
        if (command < 0) return cyc;
        issue(channel, table, command, bank, cyc);
        settle_rows(channel, command, bank, row, cyc);
    }
}

inline Int columns(Channel &channel, const Int *table, Int opcode, Int n, Int bank, Int row) {
    const Int command = table[T_FINAL + opcode];
    const Int pitch = table[T_PITCH + command];
    Int done = 0;
    Int cyc = 0;
    while (done < n) {
        cyc = open_for(channel, table, opcode, bank, row);
        Int run = n - done;
        if (cyc + (run - 1) * pitch >= channel.due) run = (channel.due - 1 - cyc) / pitch + 1;
        const Int index = channel.aim_index + done;
        Int at = cyc;
        for (Int k = 0; k < run; k++) {
            cyc = at;
            channel.issues[(index + k) & (RING - 1)] = cyc;
            at = cyc + pitch;
        }
        issue(channel, table, command, bank, cyc);
        channel.counts[command] += run - 1;
        done += run;
    }
    channel.aim_index += n;
    if (opcode == WR_ABK) all_closed(channel, cyc);
    if (table[T_POSTED + opcode]) channel.writes_done = max(channel.writes_done, cyc + table[T_DONE + opcode]);
    return cyc;
}

Int synchronise(Channel &channel, const Int *table) {
    while (channel.cursor >= channel.due) refresh(channel, table, NEVER);
    const Int cyc = channel.cursor;
    channel.cursor = cyc + 1;
    channel.issues[channel.aim_index & (RING - 1)] = cyc;
    channel.aim_index++;
    const Int reply = max(max(cyc + 1, channel.last_reply + 1), channel.writes_done + 1);
    while (channel.cursor < reply && channel.cursor >= channel.due) refresh(channel, table, reply);
    channel.last_reply = reply;
    return reply;
}

struct Answer {
    Int queued;
    Int reply;
};

inline Answer aim_line(Channel &channel, const Int *table, Int opcode, Int n, Int bank, Int row, Int cyc) {
    idle_until(channel, table, cyc);
    const Int refused = channel.aim_index + n - 1 - table[T_DEPTH];
    Int reply = 0;
    if (opcode == SYNC || opcode == EOC) {
        reply = synchronise(channel, table);
    } else {
        const Int issued = columns(channel, table, opcode, n, bank, opcode == AF ? AF_ROW : row);
        if (table[T_BLOCKING + opcode]) {
            reply = max(issued + table[T_DONE + opcode], channel.last_reply + 1);
            channel.last_reply = reply;
        }
    }
    if (refused >= 0) cyc = max(cyc, channel.issues[refused & (RING - 1)] + 1);
    return {cyc, reply};
}

}  // namespace

// Times a program on `n_channels` channels, each for itself (the kernel's detail `full`; one channel is one class).
//
// runs int64[n_runs, 9] and table int64[TABLE_WORDS] as the kernel takes them; tallies int64[n_channels, N_COMMANDS + 1]
// receives every channel's commands and its clocks with a row open. Returns the device cycles.
extern "C" Int run_in_order(const Int *runs, Int n_runs, const Int *table, Int n_channels, Int *tallies) {
    std::vector<Channel> channels(n_channels, Channel(table));
    const Int width = table[T_WIDTH];
    Int cyc = 1, in_cycle = 0, end = 0;
    for (Int r = 0; r < n_runs; r++) {
        const Int *run = runs + r * 9;
        const Int opcode = run[0];
        Int mask = run[2];
        if (opcode == SYNC || opcode == EOC) mask = ~Int(0);
        if (opcode == NO_EFFECT) mask = 0;
        Int row = run[4];
        for (Int k = 0; k < run[5]; k++) {
            Int queued = cyc, reply = 0;
            for (Int c = 0; c < n_channels; c++) {
                if (!(mask >> c & 1)) continue;
                const Answer answer = aim_line(channels[c], table, opcode, run[1], run[3], row, cyc);
                queued = max(queued, answer.queued);
                reply = max(reply, answer.reply);
            }
            row += run[6];
            in_cycle++;
            if (reply) {
                end = reply;
                cyc = max(queued, reply) + 1;
                in_cycle = 0;
            } else if (queued > cyc || in_cycle >= width) {
                cyc = queued + 1;
                in_cycle = 0;
            }
        }
        if (opcode == EOC) break;
    }
    for (Channel &channel : channels) {
        idle_until(channel, table, end + 1);
        if (channel.open_since >= 0) channel.active_cyc += end - channel.open_since;
        for (Int command : channel.counts) *tallies++ = command;
        *tallies++ = channel.active_cyc;
    }
    return end;
}

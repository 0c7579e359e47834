// The trackers' kernels in C++, with the same tie rules and the same results: what the kernels' speed is measured against.
//
// Count-min: four rows, a power of two of columns, plain update, unbounded counters, H3 by packed byte tables, sorted CAM. Space-Saving: the
// entries of the smallest count are listed in order. Exact: one counter for each key.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

using U32 = std::uint32_t;
using U64 = std::uint64_t;
using Int = std::int64_t;

namespace {

Int offer(U32 key, Int estimate, U32 *cam_key, Int *cam_count, Int n, Int k) {
    Int at = 0;
    while (at < n && cam_key[at] != key) at++;
    if (at == n) {
        if (n < k) n++;
        else if (estimate > cam_count[n - 1]) at = n - 1;
        else return n;
    }
    while (at > 0 && cam_count[at - 1] < estimate) {
        cam_key[at] = cam_key[at - 1];
        cam_count[at] = cam_count[at - 1];
        at--;
    }
    cam_key[at] = key;
    cam_count[at] = estimate;
    return n;
}

struct Entries {
    std::vector<U32> key;
    std::vector<Int> count, listed, slots;
    int shift;
    Int mask, n_used = 0, least = 0, n_listed = 0, front = 0;

    Entries(Int n, int slot_bits)
        : key(n), count(n), listed(n), slots(Int(1) << slot_bits), shift(32 - slot_bits), mask((Int(1) << slot_bits) - 1) {}

    Int home(U32 k) const { return U32(k * 0x9E3779B1u) >> shift; }

    void list_least() {
        const Int n = count.size();
        least = *std::min_element(count.begin(), count.end());
        n_listed = front = 0;
        for (Int i = 0; i < n; i++) {
            listed[n_listed] = i;
            n_listed += count[i] == least;
        }
    }

    Int forget(Int entry, Int searched, Int free) {
        Int hole = home(key[entry]);
        while (slots[hole] != entry + 1) hole = (hole + 1) & mask;
        for (Int at = (hole + 1) & mask; slots[at] != 0; at = (at + 1) & mask) {
            const Int h = home(key[slots[at] - 1]);
            if (((at - h) & mask) >= ((at - hole) & mask)) {
                slots[hole] = slots[at];
                hole = at;
            }
        }
        slots[hole] = 0;
        return ((hole - searched) & mask) < ((free - searched) & mask) ? hole : free;
    }

    void add(U32 k) {
        Int slot = home(k), entry;
        while ((entry = slots[slot] - 1) >= 0 && key[entry] != k) slot = (slot + 1) & mask;
        if (entry >= 0) {
            count[entry]++;
            return;
        }
        if (n_used < Int(key.size())) {
            entry = n_used++;
            count[entry] = 1;
        } else {
            while (front < n_listed && count[listed[front]] != least) front++;
            if (front == n_listed) list_least();
            entry = listed[front++];
            slot = forget(entry, home(k), slot);
            count[entry] = least + 1;
        }
        key[entry] = k;
        slots[slot] = entry + 1;
    }

    Int query(U32 *picked, Int *picked_count, Int k) {
        Int n = 0;
        for (Int i = 0; i < n_used; i++) {
            if (n == k && count[i] <= picked_count[n - 1]) continue;
            Int at = n < k ? n++ : n - 1;
            for (; at > 0 && picked_count[at - 1] < count[i]; at--) {
                picked[at] = picked[at - 1];
                picked_count[at] = picked_count[at - 1];
            }
            picked[at] = key[i];
            picked_count[at] = count[i];
        }
        std::fill(slots.begin(), slots.end(), 0);
        n_used = least = n_listed = front = 0;
        return n;
    }
};

}  // namespace

extern "C" {

// Fills picked uint32[n / period, k] with what every query reports, and counts int64 likewise.
void count_min(const U32 *keys, Int n, Int period, const U64 *packed, Int n_columns, Int k, U32 *picked, Int *picked_count) {
    std::vector<U32> rows(4 * n_columns), cam_key(k);
    std::vector<Int> cam_count(k);
    U32 *row[4];
    for (int r = 0; r < 4; r++) row[r] = rows.data() + r * n_columns;
    for (Int first = 0, query = 0; first + period <= n; first += period, query++) {
        Int n_held = 0;
        Int least = 0;
        for (Int i = first; i < first + period; i++) {
            const U32 key = keys[i];
            const U64 hashed =
                packed[key & 255] ^ packed[256 + (key >> 8 & 255)] ^ packed[512 + (key >> 16 & 255)] ^ packed[768 + (key >> 24)];
            const U32 n_0 = ++row[0][hashed & 0xFFFF], n_1 = ++row[1][hashed >> 16 & 0xFFFF];
            const U32 n_2 = ++row[2][hashed >> 32 & 0xFFFF], n_3 = ++row[3][hashed >> 48];
            const Int estimate = std::min(std::min(n_0, n_1), std::min(n_2, n_3));
            if (estimate > least || n_held < k) {
                n_held = offer(key, estimate, cam_key.data(), cam_count.data(), n_held, k);
                least = n_held == k ? cam_count[k - 1] : 0;
            }
        }
        std::memcpy(picked + query * k, cam_key.data(), n_held * sizeof(U32));
        std::memcpy(picked_count + query * k, cam_count.data(), n_held * sizeof(Int));
        std::fill(rows.begin(), rows.end(), 0);
    }
}

void space_saving(const U32 *keys, Int n, Int period, int slot_bits, Int n_entries, Int k, U32 *picked, Int *picked_count) {
    Entries entries(n_entries, slot_bits);
    for (Int first = 0, query = 0; first + period <= n; first += period, query++) {
        for (Int i = first; i < first + period; i++) entries.add(keys[i]);
        entries.query(picked + query * k, picked_count + query * k, k);
    }
}

void exact(const U32 *keys, Int n, U32 *counts) {
    for (Int i = 0; i < n; i++) counts[keys[i]]++;
}

}

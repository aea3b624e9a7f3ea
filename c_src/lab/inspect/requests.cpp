/* requests.cpp: sectors, banks, and the window in which requests are put together. */
#include "requests.h"
#include <algorithm>
#include <cstring>

namespace lab::inspect {

namespace {

constexpr uint32_t sector_bytes = 32, banks = 32, bank_bytes = 4;

/* A small set of numbers. Neighbouring lanes tend to repeat each other, so the last number is
   looked at first. */
template <int most> struct Few {
    uint32_t n = 0, items[most];

    bool add(uint32_t x) {
        if (n && items[n - 1] == x) return false;
        for (uint32_t i = 0; i < n; i++)
            if (items[i] == x) return false;
        items[n++] = x;
        return true;
    }
};

template <class F> void each_lane(uint32_t lanes, F f) {
    for (; lanes; lanes &= lanes - 1) f((uint32_t)__builtin_ctz(lanes));
}

/* Bytes that are asked for, those wanted by several lanes counted once. */
uint32_t distinct_bytes(uint32_t lanes, const uint32_t *address, uint32_t size) {
    uint32_t sorted[32], n = 0;
    bool rising = true;
    each_lane(lanes, [&](uint32_t l) {
        if (n && address[l] < sorted[n - 1]) rising = false;
        sorted[n++] = address[l];
    });
    if (!rising) std::sort(sorted, sorted + n);
    uint32_t bytes = 0, end = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t begin = i && sorted[i] < end ? end : sorted[i];
        end = sorted[i] + size;
        bytes += end - begin;
    }
    return bytes;
}

/* Passes beyond the first for some lanes whose words are served together. */
uint32_t further_passes(uint32_t lanes, const uint32_t *address, uint32_t size, Op op) {
    Few<8> words[banks];
    uint32_t passes[banks] = {}, most = 1;
    each_lane(lanes, [&](uint32_t l) {
        uint32_t last = (address[l] + size - 1) / bank_bytes;
        for (uint32_t word = address[l] / bank_bytes; word <= last; word++) {
            uint32_t bank = word % banks;
            // A word is broadcast to all that read it. Atomics on one word go one by one.
            bool fresh = op == Op::atomic || (passes[bank] < 8 && words[bank].add(word));
            if (!fresh && passes[bank] >= 8) {
                fresh = true;
                each_lane(lanes & ((1u << l) - 1), [&](uint32_t before) {
                    uint32_t from = address[before] / bank_bytes;
                    uint32_t to = (address[before] + size - 1) / bank_bytes;
                    if (from <= word && word <= to) fresh = false;
                });
            }
            if (fresh) most = std::max(most, ++passes[bank]);
        }
    });
    return most - 1;
}

} // namespace

Cost cost_in_memory(uint32_t lanes, const uint32_t *address, uint32_t size) {
    Few<64 * 3> touched;
    each_lane(lanes, [&](uint32_t l) {
        uint32_t last = (address[l] + size - 1) / sector_bytes;
        for (uint32_t s = address[l] / sector_bytes; s <= last; s++) touched.add(s);
    });
    uint32_t bytes = distinct_bytes(lanes, address, size);
    return {touched.n, (bytes + sector_bytes - 1) / sector_bytes, 0};
}

Cost cost_in_shared(uint32_t lanes, const uint32_t *address, uint32_t size, Op op) {
    uint32_t together = size <= 4 ? 32 : size <= 8 ? 16 : 8;
    Cost cost;
    for (uint32_t first = 0; first < 32; first += together) {
        uint32_t part = lanes & (uint32_t)(((1ull << together) - 1) << first);
        if (part) cost.conflicts += further_passes(part, address, size, op);
    }
    return cost;
}

Cost cost_in_constant(uint32_t lanes, const uint32_t *address, uint32_t size) {
    // One address for the whole warp is served at once, each further one in a pass of its own.
    Few<32> different;
    each_lane(lanes, [&](uint32_t l) { different.add(address[l]); });
    Cost cost = cost_in_memory(lanes, address, size);
    cost.conflicts = different.n - 1;
    return cost;
}

void Traffic::add(uint32_t mask, const uint32_t *address) {
    Cost cost = kind == Kind::memory   ? cost_in_memory(mask, address, size)
                : kind == Kind::shared ? cost_in_shared(mask, address, size, op)
                                       : cost_in_constant(mask, address, size);
    uint32_t count = (uint32_t)__builtin_popcount(mask);
    requests++;
    lanes += count;
    bytes += (uint64_t)count * size;
    sectors += cost.sectors;
    ideal += cost.ideal;
    conflicts += cost.conflicts;
    uint32_t waste = cost.sectors - cost.ideal + cost.conflicts;
    if (example_lanes && waste <= example_waste) return;
    example_lanes = mask;
    example_waste = waste;
    memcpy(example, address, sizeof example);
}

void Requests::grow(Open &open) {
    uint32_t more = open.capacity ? open.capacity * 2 : 2;
    std::unique_ptr<Request[]> ring(new Request[more]);
    for (uint32_t i = 0; i < open.capacity; i++) {
        uint32_t n = open.base + i;
        ring[n & (more - 1)] = open.ring[n & (open.capacity - 1)];
    }
    open.ring = std::move(ring);
    open.capacity = more;
}

void Requests::list(uint32_t slot) {
    if (slot >= open_.size()) open_.resize(slot + 1);
    Open &open = open_[slot];
    open.listed = true;
    open.left_behind = false;
    open.base = 0;
    memset(open.count, 0, sizeof open.count);
    listed_.push_back(slot);
}

void Requests::count_one(Open &open, Traffic &traffic) {
    Request &r = open.ring[open.base++ & (open.capacity - 1)];
    if (r.lanes) traffic.add(r.lanes, r.address);
    r.lanes = 0;
}

bool Requests::add(uint32_t slot, uint32_t lane, uint32_t address, Traffic &traffic) {
    if (slot >= open_.size() || !open_[slot].listed) list(slot);
    Open &open = open_[slot];
    uint32_t n = open.count[lane];
    if (n < open.base) { // its request was closed without it
        uint32_t alone[32];
        alone[lane] = address;
        traffic.add(1u << lane, alone);
        open.count[lane]++;
        return true;
    }
    while (n - open.base >= open.capacity) {
        if (open.capacity == window) return false;
        grow(open);
    }
    Request &r = open.ring[n & (open.capacity - 1)];
    r.lanes |= 1u << lane;
    r.address[lane] = address;
    open.count[lane]++;
    if (n == open.base && (r.lanes | missing_) == ~0u) count_one(open, traffic);
    return true;
}

void Requests::close_half(uint32_t slot, Traffic &traffic) {
    Open &open = open_[slot];
    open.left_behind = true;
    for (uint32_t i = 0; i < open.capacity / 2; i++) count_one(open, traffic);
}

void Requests::close(std::vector<Traffic> &traffic) {
    for (uint32_t slot : listed_) {
        Open &open = open_[slot];
        for (uint32_t i = 0; i < open.capacity; i++) count_one(open, traffic[slot]);
        open.listed = false;
    }
    listed_.clear();
}

} // namespace lab::inspect

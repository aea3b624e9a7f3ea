/* spots.h: places in the program. A spot is one instruction that touches memory, reached by one
   call path; every count and every finding belongs to spots. A call path is a number: a node in
   a tree of return addresses, so that a fiber keeps its whole stack in one integer.
   What lines these addresses belong to is found later, by addr2line (etude_cuda/lab/symbols.py). */
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <new>
#include <vector>

namespace lab::inspect {

struct Object;

struct Spot {
    uintptr_t pc;      // return address of the hook: one past the call
    uint32_t path;     // who called
    uint32_t id;       // number of this spot, from 1
    Object *object;    // what it touched last: nearly every spot touches one object only
    bool stored;         // has it been executed as a store?
    uint32_t reads_back; // a store: what has always loaded the same cell just before, or 0
    int slot;          // its place in the tables of requests, -1 until a kernel runs it
};

/* From a pair of numbers to an index, by open addressing. Never shrinks, nothing is removed. */
class PairTable {
public:
    PairTable() : entries_(1 << 12) {}

    // The index kept for (a, b), or 0. Index 0 is never stored.
    uint32_t find(uint64_t a, uint32_t b) const {
        for (size_t i = place(a, b);; i = (i + 1) & (entries_.size() - 1)) {
            const Entry &e = entries_[i];
            if (!e.index || (e.a == a && e.b == b)) return e.index;
        }
    }

    void insert(uint64_t a, uint32_t b, uint32_t index) {
        if (++used_ * 2 > entries_.size()) grow();
        put({a, b, index});
    }

private:
    struct Entry {
        uint64_t a;
        uint32_t b, index;
    };

    size_t place(uint64_t a, uint32_t b) const {
        uint64_t h = (a ^ (uint64_t)b << 40 ^ b) * 0x9e3779b97f4a7c15u;
        return (h >> 32) & (entries_.size() - 1);
    }

    void put(const Entry &e) {
        size_t i = place(e.a, e.b);
        while (entries_[i].index) i = (i + 1) & (entries_.size() - 1);
        entries_[i] = e;
    }

    void grow() {
        std::vector<Entry> old(entries_.size() * 2);
        old.swap(entries_);
        for (const Entry &e : old)
            if (e.index) put(e);
    }

    std::vector<Entry> entries_;
    size_t used_ = 0;
};

class Spots {
public:
    Spots() : paths_(1), spots_(1) {}

    uint32_t enter(uint32_t path, uintptr_t pc) {
        uint32_t index = path_of_.find(pc, path);
        return index ? index : new_path(path, pc);
    }

    uint32_t leave(uint32_t path) const { return paths_[path].parent; }

    Spot &at(uintptr_t pc, uint32_t path) {
        uint32_t index = spot_of_.find(pc, path);
        return index ? spots_[index] : new_spot(pc, path);
    }

    Spot &by_id(uint32_t id) { return spots_[id]; }

    // Return addresses from the innermost call outwards.
    std::vector<uintptr_t> stack(uint32_t path) const;

private:
    struct Path {
        uint32_t parent = 0;
        uintptr_t pc = 0;
    };

    uint32_t new_path(uint32_t path, uintptr_t pc);
    Spot &new_spot(uintptr_t pc, uint32_t path);

    std::vector<Path> paths_; // 0 is the bottom of every stack
    std::deque<Spot> spots_;  // a deque, because references to its elements stay valid
    PairTable path_of_, spot_of_;
};

/* Hooks run before the program's constructors and after its destructors, so what they use is made
   first and never destroyed:  LAB_FIRST Lasting<Spots> spots; */
#define LAB_FIRST __attribute__((init_priority(101)))

template <class T> class Lasting {
public:
    Lasting() { new (&it_) T; }
    ~Lasting() {}
    T *operator->() { return &it_; }
    T &operator*() { return it_; }

private:
    union {
        T it_;
    };
};

extern Lasting<Spots> spots;

/* True on the thread that runs main(), once everything here is made; the first hooks come before
   that. */
extern __thread bool on_main_thread;

} // namespace lab::inspect

/* objects.h: the table of whatever has an address on the modelled device: blocks of memory,
   symbols, shared arrays. Objects are never deleted, so that a finding can name one that was
   freed. */
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include "../runtime/observe.h"
#include "cells.h"
#include "spots.h"

namespace lab::inspect {

struct Work; // streams.h

/* What kernels stored in an object, and whether anybody took it from there. */
struct Output {
    Work *writer = nullptr; // the latest launch that stored something
    uint32_t width = 0;           // bytes of each store
    bool widths_differ = false;
    bool taken = false; // read, copied, or written over by a later launch, copy or fill

    void take(); // the host, or a copy or fill, has seen to it
};

struct Object {
    uintptr_t begin = 0;
    size_t bytes = 0;
    size_t element = 0; // bytes of what the program's pointer points to, 0 if unknown
    uintptr_t end = 0; // begin + bytes while it is alive, begin when it was freed
    Space space = Space::global;
    uint32_t id = 0;
    bool freed = false;
    bool dynamic = false; // shared memory whose size the launch gives
    bool poisoned = false; // was filled with a pattern that says "never written"
    std::string name, file;
    int line = 0;
    uintptr_t allocated_pc = 0, freed_pc = 0;
    uint32_t allocated_path = 0, freed_path = 0;
    Output output;
    Cells cells;
    Defined defined;

    bool holds(uintptr_t a, size_t n) const { return a >= begin && a + n <= end; }
};

class Objects {
public:
    // Enters an object. Dead ones that it overlaps leave the table, and a living one is ended.
    Object &enter(uintptr_t begin, size_t bytes, Space space);
    void free(Object &object);

    // The object around the address, dead or alive; null if there is none.
    Object *around(uintptr_t a) const;
    // The object that begins at the address.
    Object *at(uintptr_t a) const;
    // The object nearest to the address, within `reach` bytes of it; null if there is none.
    Object *nearest(uintptr_t a, size_t reach) const;

    // Quick refusal, for the host's own accesses: no object is near the address.
    bool far_from_all(uintptr_t a) const {
        uintptr_t g = a / granule;
        return g >= granules || !(near_[g / 8] >> g % 8 & 1);
    }

    template <class F> void each(F f) const {
        for (auto &entry : table_) f(*entry.second);
    }

private:
    static constexpr uintptr_t granule = 1 << 16, granules = 1ull << 31; // 47 bits of address

    std::map<uintptr_t, Object *> table_; // by their begin
    uint8_t *near_ = static_cast<uint8_t *>(reserve(granules / 8)); // a bit for each granule
    uint32_t count_ = 0;
};

extern Lasting<Objects> objects;

const char *space_name(Space space);

} // namespace lab::inspect

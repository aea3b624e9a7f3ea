/* findings.h: what was found about accesses, one entry for each kind, pair of instructions and
   object, with a count. Findings of the scheduler and the API go through runtime/report.h. What a
   reader is told about either is worded in etude_cuda/lab/findings.py. */
#pragma once
#include <cstdint>
#include <string>
#include <vector>
#include "objects.h"
#include "order.h"

namespace lab::inspect {

/* One side of a finding: who, where, doing what. */
struct Place {
    std::string role; // read, write, atomic, or what the kind of finding calls it
    bool host = true;
    unsigned thread[6] = {}; // blockIdx, threadIdx
    uintptr_t pc = 0;
    uint32_t path = 0;
    uint32_t size = 0;
    bool atomic = false, is_volatile = false;
};

Place place_of(const Lane &lane, const char *role, uintptr_t pc, uint32_t size, uint32_t flags);
Place place_of(const Mark &mark, uint32_t size);
Place host_place(const char *role, uintptr_t pc, uint32_t size = 0);

enum class Reach : uint8_t { none, warp, block, grid, streams }; // the scope of a race

struct Finding {
    const char *kind = "";
    uint64_t launch = 0;
    std::vector<Place> places;
    const Object *object = nullptr;
    int64_t offset = 0;
    Reach reach = Reach::none;
    uint64_t count = 1;
    uint64_t order = 0; // which of the run's findings it is, counted from 1
    std::string detail; // members of a JSON object, without the braces
};

/* Counts it with those of its kind, places and object; the first of them is told, or the one with
   the widest reach. Returns whether it is new or wider, so that the detail is worth working out. */
Finding *find(const Finding &finding);

/* For a pair of accesses that many threads repeat: counts one more of a known finding without
   making it up. Null if it is not known, or has not this reach yet. */
Finding *known(const char *kind, uintptr_t pc, uintptr_t other_pc, const Object *object,
               Reach reach);

std::string hex(uintptr_t pc); // as JSON
std::string stack_json(uint32_t path);

void emit_findings(); // all, with their final counts

} // namespace lab::inspect

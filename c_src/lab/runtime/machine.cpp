/* machine.cpp: what a kernel asks of the machine: the clock, traps, where a pointer leads. */
#define LAB_RUNTIME
#include "lab/load.h"
#include "memory.h"
#include "report.h"
#include "worker.h"

namespace lab {

long long ticks() { return static_cast<long long>(seconds() * 1e9); }

void trap(Site site) {
    Thread &t = *now;
    t.site = site;
    t.pc = __builtin_return_address(0);
    Finding f;
    f.kind = "assert";
    f.launch = t.block->launch;
    f.words = "in " + name_of(*f.launch) + ", " + name_of(t) + " came to __trap() at " +
              where(site) + ".";
    f.places = {Place("trap", t)};
    report(f);
    this_worker().fail(719);
}

bool is_shared(const void *p) {
    auto offset = static_cast<const char *>(p) - now->block->shared;
    return offset >= 0 && static_cast<size_t>(offset) < ARENA;
}

bool is_global(const void *p) {
    Allocation a = find_allocation(p);
    return a && a.space != Space::constant;
}

bool is_constant(const void *p) { return find_allocation(p).space == Space::constant; }

}

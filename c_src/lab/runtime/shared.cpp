/* shared.cpp: where shared arrays lie in the arena of a block.

       [dynamic shared memory][array 1][array 2] ...

   Arrays stand in the order in which threads come upon them first, at the same offsets in every
   block of the launch. */
#define LAB_RUNTIME
#include <mutex>

#include "lab/shared.h"
#include "observe.h"
#include "worker.h"

namespace lab {

static std::mutex laying;

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

void lay_down(SharedPlace &place) {
    std::lock_guard<std::mutex> hold(laying);
    Block &b = *now->block;
    if (place.stamp == b.stamp)
        return;
    LaunchInfo &info = *b.launch;
    size_t align = place.align < 16 ? 16 : place.align;
    size_t offset = round_up(round_up(info.dynamic_shared, 16) + info.static_shared, align);
    place.offset = offset;
    info.static_shared = offset + place.bytes - round_up(info.dynamic_shared, 16);
    __atomic_store_n(&place.stamp, b.stamp, __ATOMIC_RELEASE);
}

char *dynamic_arena(const char *, size_t) { return now->block->shared; }

}

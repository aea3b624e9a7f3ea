/* shared.cpp: where shared arrays lie in the arena of a block.

       [dynamic shared memory][array 1][array 2] ...

   Arrays stand in the order in which threads come upon them first, at the same offsets in every
   block of the launch. */
#define LAB_RUNTIME
#include <map>
#include <mutex>

#include "lab/shared.h"
#include "observe.h"
#include "worker.h"

namespace lab {

static std::mutex laying;

constexpr size_t ALIGN = 128;

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

#ifdef LAB_INSPECT

/* Around each array lies a red zone that belongs to nobody, and the observer is told of each array
   in each block. The zones are not the program's, so they do not count as its shared memory. */
constexpr size_t ZONE = 256;

struct Layout {
    uint64_t launch = 0;
    size_t end = 0;
    std::map<const SharedPlace *, size_t> offsets;
};

static size_t offset_of(const SharedPlace &place, LaunchInfo &info) {
    static Layout &layout = *new Layout();
    if (layout.launch != info.number)
        layout = Layout{info.number, round_up(info.dynamic_shared, ALIGN) + ZONE, {}};
    auto known = layout.offsets.find(&place);
    if (known != layout.offsets.end())
        return known->second;
    size_t offset = layout.end;
    layout.end = round_up(offset + place.bytes, ALIGN) + ZONE;
    layout.offsets[&place] = offset;
    info.static_shared = round_up(info.static_shared, place.align) + place.bytes;
    return offset;
}

void lay_down(SharedPlace &place) {
    Block &b = *now->block;
    place.offset = offset_of(place, *b.launch);
    place.stamp = b.stamp;
    observe::shared_array(b, {place.name, place.file, place.line, b.shared + place.offset,
                              place.bytes});
}

char *dynamic_arena(const char *name, size_t) {
    Block &b = *now->block;
    if (!b.array_count++)
        observe::shared_array(b, {name, nullptr, 0, b.shared, b.launch->dynamic_shared});
    return b.shared;
}

#else

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

#endif

}

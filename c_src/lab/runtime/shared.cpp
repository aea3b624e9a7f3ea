/* shared.cpp: where shared arrays lie in the arena of a block.

       [dynamic shared memory][array 1][array 2] ...

   Arrays stand in the order in which threads come upon them first, at the same offsets in every
   block of the launch. */
#define LAB_RUNTIME
#include <map>
#include <mutex>

#include "device.h"
#include "guard.h"
#include "lab/errors.h"
#include "lab/shared.h"
#include "observe.h"
#include "report.h"
#include "worker.h"

namespace lab {

static std::mutex laying;

constexpr size_t ALIGN = 128;

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* nvcc refuses a kernel whose arrays are larger than 48 KiB together; a launch is refused whose
   dynamic memory leaves no room for them. Here both show when the last array is come upon. */
static void check_room(const LaunchInfo &info, const SharedPlace &place) {
    size_t limit = info.dynamic_shared ? shared_limit(info.kernel) : SHARED_LIMIT;
    size_t asked = info.static_shared + info.dynamic_shared;
    if (info.static_shared <= SHARED_LIMIT && asked <= limit)
        return;
    Finding f;
    f.kind = "launch-failed";
    f.launch = &info;
    f.words = name_of(info) + " has " + std::to_string(info.static_shared) +
              " bytes of shared arrays with " + place.name + " (" +
              where({place.file, place.line}) + ") and " + std::to_string(info.dynamic_shared) +
              " bytes of dynamic shared memory; a block may have " + std::to_string(limit) +
              ", and more only as dynamic memory, by cudaFuncSetAttribute.";
    f.places = {Place("array", {place.file, place.line})};
    f.detail = "{\"why\":\"shared\",\"asked\":" + std::to_string(asked) +
               ",\"limit\":" + std::to_string(limit) + "}";
    report(f);
    this_worker().fail(cudaErrorLaunchOutOfResources);
}

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
    check_room(*b.launch, place);
    place.stamp = b.stamp;
    observe::shared_array(
        b, {place.name, place.file, place.line, b.shared + place.offset, place.bytes});
}

char *dynamic_arena(const char *name, size_t) {
    Block &b = *now->block;
    if (!b.array_count++)
        observe::shared_array(b, {name, nullptr, 0, b.shared, b.launch->dynamic_shared});
    return b.shared;
}

#else

static void lay_down_once(SharedPlace &place, const Block &b) {
    Busy holding;
    std::lock_guard<std::mutex> hold(laying);
    if (place.stamp == b.stamp)
        return;
    LaunchInfo &info = *b.launch;
    size_t dynamic = round_up(info.dynamic_shared, ALIGN);
    place.offset = dynamic + round_up(info.static_shared, ALIGN);
    info.static_shared = place.offset - dynamic + place.bytes;
    __atomic_store_n(&place.stamp, b.stamp, __ATOMIC_RELEASE);
}

void lay_down(SharedPlace &place) {
    Block &b = *now->block;
    lay_down_once(place, b);
    check_room(*b.launch, place);
}

char *dynamic_arena(const char *, size_t) { return now->block->shared; }

#endif

}

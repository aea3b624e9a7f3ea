/* report.cpp: findings about accesses. Each says who, where, on what; for a race also which barrier
   is missing, and between which two instructions. */
#include "report.h"
#include <cstring>
#include <unistd.h>
#include "access.h"
#include "streams.h"
#include "../runtime/worker.h"

extern "C" char etext, __data_start, end;

namespace lab::inspect {

namespace {

constexpr int illegal_address = 700, misaligned_address = 716;

const char *role_of(uint32_t flags) {
    return flags & Mark::atomic ? "atomic" : flags & Mark::write ? "write" : "read";
}

uint64_t launch_of(const Mark &mark) {
    const Work *work = streams->at(mark.tick);
    return work ? work->launch : 0;
}

std::string address_json(uintptr_t a) { return "\"address\":" + hex(a); }

Finding about(const Lane &lane, const Spot &spot, const char *kind, size_t bytes, uint32_t flags) {
    Finding finding;
    finding.kind = kind;
    finding.launch = lane.block->launch->info->number;
    finding.places.push_back(
        place_of(lane, role_of(flags), spot.pc, (uint32_t)bytes, flags));
    return finding;
}

Finding about(const Touch &touch, const char *kind) {
    Finding finding = about(touch.lane, touch.spot, kind, touch.size, touch.flags);
    finding.object = &touch.object;
    finding.offset = (int64_t)(touch.address - touch.object.begin);
    finding.detail = address_json(touch.address);
    return finding;
}

} // namespace

void report_uninitialized(const Touch &touch) {
    if (known("uninitialized", touch.spot.pc, touch.spot.pc, &touch.object, Reach::none)) return;
    find(about(touch, "uninitialized"));
}

/* A card refuses a misaligned access and ends the launch. */
void report_misaligned(const Touch &touch) {
    Finding finding = about(touch, "misaligned");
    finding.detail += ",\"alignment\":" + std::to_string(touch.size);
    find(finding);
    this_worker().fail(misaligned_address);
}

/* ---- Addresses outside all objects --------------------------------------------------------- */

namespace {

/* Could the program read this byte without crashing? The kernel is asked to. */
bool readable(uintptr_t a) {
    static int ends[2] = {-1, -1};
    if (ends[0] < 0 && pipe(ends)) return false;
    char byte;
    bool fine = write(ends[1], reinterpret_cast<void *>(a), 1) == 1;
    if (fine) fine = read(ends[0], &byte, 1) == 1;
    return fine;
}

bool in_constants(uintptr_t a) {
    return a >= reinterpret_cast<uintptr_t>(&etext) &&
           a < reinterpret_cast<uintptr_t>(&__data_start);
}

const char *host_memory(uintptr_t a) {
    uintptr_t here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    (void)here;
    return a >= reinterpret_cast<uintptr_t>(&__data_start) && a < reinterpret_cast<uintptr_t>(&end)
               ? "static"
               : "heap or stack";
}

const Lane *owner_of_local(const Lane &lane, uintptr_t a) {
    for (const Lane &other : lane.block->lanes)
        if (other.stack_low && a - other.stack_low < stack_bytes) return &other;
    return nullptr;
}

constexpr size_t reach = 1 << 16; // so near an object an address is thought to be meant for it

/* A line that has touched an object before is thought to mean it again, however far it goes astray:
   an index is wrong more often than a pointer. */
bool touched_before(const Spot &spot, uintptr_t a) {
    constexpr uintptr_t far = 1ull << 36;
    return spot.object && !spot.object->freed && a - spot.object->begin + far < 2 * far;
}

} // namespace

void report_stray(Lane &lane, Spot &spot, Object *object, uintptr_t a, size_t bytes,
                  uint32_t flags) {
    if (in_constants(a)) return; // tables and texts that the compiler keeps
    Finding finding = about(lane, spot, "out-of-bounds", bytes, flags);
    finding.detail = address_json(a);
    const Lane *owner = nullptr;
    if (a < 4096) {
        finding.kind = "null-pointer";
    } else if (object && object->freed && object->space != Space::shared) {
        finding.kind = "use-after-free";
        finding.object = object;
    } else if (object) {
        finding.object = object; // it begins inside and ends outside
    } else if (touched_before(spot, a)) {
        finding.object = spot.object;
    } else if (Object *near = objects->nearest(a, reach)) {
        finding.object = near;
        if (near->freed && near->space != Space::shared) finding.kind = "use-after-free";
    } else if ((owner = owner_of_local(lane, a))) {
        finding.detail += ",\"why\":\"local memory of another thread\"";
    } else if (readable(a)) {
        finding.kind = "host-pointer";
        finding.detail += std::string(",\"memory\":\"") + host_memory(a) + "\"";
    }
    if (finding.object) finding.offset = (int64_t)(a - finding.object->begin);
    if (finding.object && finding.object->space == Space::shared && finding.object->dynamic) {
        finding.kind = "shared-size";
        finding.detail += ",\"dynamic\":" + std::to_string(finding.object->bytes) +
                          ",\"needed\":" + std::to_string(finding.offset + (int64_t)bytes);
    }
    find(finding);
    bool fatal = !strcmp(finding.kind, "null-pointer") || !strcmp(finding.kind, "host-pointer") ||
                 !readable(a);
    if (fatal) this_worker().fail(illegal_address);
}

/* ---- Races --------------------------------------------------------------------------------- */

namespace {

/* A store that races with another store: whether it changes the value is seen once it is done. */
struct Pending {
    Lane *lane;
    Spot *spot;
    Object *object;
    uintptr_t address;
    uint32_t size, flags, turn;
    Mark other;
    unsigned char before[16];
    bool copies; // the load of the same struct is announced between this and the store
} pending;

Reach reach_of(const Lane &lane, const Mark &other) {
    const BlockView &block = *lane.block;
    if (other.tick < block.launch->begin) return Reach::streams;
    uint32_t number = other.thread - block.first;
    if (number >= block.count) return Reach::grid;
    return number / 32 == lane.warp_number ? Reach::warp : Reach::block;
}

/* Two instructions in the order in which one thread comes to them, between two barriers. */
struct Sequence {
    const Spot *first, *second;
    bool across_turns; // the second belongs to a later turn of a loop
};

uint32_t executions(const Lane &lane, const Spot &spot) {
    return spot.slot < 0 ? 0 : lane.warp->requests.executions((uint32_t)spot.slot, lane.lane);
}

/* Do the counts of executions begin where the accesses were last ordered? */
bool counts_tell(const Lane &lane, Reach reach) {
    return reach == Reach::warp ? !lane.warp->met_loosely : !lane.warp->met_alone;
}

/* The lanes are not in step, so what ran first does not tell. If both instructions belong to one
   loop, the access of the later turn comes second. Else, what this lane has run already comes
   first; so does its own instruction if the other lane has run that before. */
Sequence sequence(const Touch &touch, const Spot &other, const Mark &mark, Reach reach) {
    const Spot *mine = &touch.spot, *low = mine->pc < other.pc ? mine : &other;
    const Spot *high = low == mine ? &other : mine;
    const Lane &lane = touch.lane;
    if (!counts_tell(lane, reach)) return {low, high, false};
    uint32_t ran = executions(lane, other), turns = touch.turn + 1;
    bool one_loop = ran ? ran + 1 >= turns && ran <= turns + 1 : false;
    if (one_loop && mark.turn() > touch.turn) return {mine, &other, true};
    if (one_loop && mark.turn() < touch.turn) return {&other, mine, true};
    if (ran && (!one_loop || ran >= turns)) return {&other, mine, other.pc > mine->pc};
    const Lane &their = lane.block->lanes[mark.thread - lane.block->first];
    if (executions(their, *mine)) return {mine, &other, mine->pc > other.pc};
    return {low, high, false};
}

const char *what_is_missing(const Touch &touch, const Spot &other, const Mark &mark, Reach reach) {
    bool both_write = (touch.flags & Mark::write) && mark.is(Mark::write);
    if (reach == Reach::streams) return "stream";
    if (both_write && other.pc == touch.spot.pc) return "atomic";
    return reach == Reach::warp ? "syncwarp" : reach == Reach::block ? "syncthreads" : "grid";
}

std::string race_detail(const Touch &touch, const Spot &other, const Mark &mark, Reach reach,
                        bool equal) {
    const char *missing = what_is_missing(touch, other, mark, reach);
    std::string out = std::string("\"barrier\":\"") + missing + "\"";
    if (reach <= Reach::block) {
        Sequence order = sequence(touch, other, mark, reach);
        out += ",\"first\":" + hex(order.first->pc) + ",\"second\":" + hex(order.second->pc);
        if (order.across_turns) out += ",\"loop\":true";
        if (uintptr_t last = touch.lane.block->last_barrier)
            out += ",\"last_barrier\":[" + hex(last) + "]";
    }
    LaunchView &launch = *touch.lane.block->launch;
    if (reach == Reach::grid && launch.unfenced.count(mark.thread / launch.block_threads))
        out += ",\"fence\":true";
    if (touch.spot.reads_back) out += ",\"read_modify_write\":true";
    return out + ",\"values_equal\":" + (equal ? "true" : "false");
}

void tell_race(const Touch &touch, const Mark &mark, bool equal) {
    const char *kind = equal ? "same-value-race" : "race";
    Spot *other = &spots->by_id(mark.spot()), *mine = &touch.spot;
    Reach reach = reach_of(touch.lane, mark);
    // The load of `x += 1` belongs to its store: one finding for the two.
    if (other->reads_back == mine->id) mine = other;
    if (mine->reads_back == other->id) other = mine;
    if (known(kind, mine->pc, other->pc, &touch.object, reach)) return;
    Finding finding = about(touch, kind);
    finding.reach = reach;
    finding.places.insert(finding.places.begin(), place_of(mark, (uint32_t)touch.size));
    bool merged = mine == other;
    if (merged) finding.places[0].pc = finding.places[1].pc = mine->pc;
    finding.detail += "," + race_detail(touch, *other, mark, reach, equal);
    if (merged && reach != Reach::streams) {
        size_t at = finding.detail.find("\"barrier\":\"");
        size_t from = at + strlen("\"barrier\":\"");
        finding.detail.replace(from, finding.detail.find('"', from) - from, "atomic");
    }
    find(finding);
}

} // namespace

void report_race(const Touch &touch, const Mark &other) {
    bool plain_stores = touch.flags & other.what & Mark::write &&
                        !((touch.flags | other.what) & Mark::atomic);
    if (!plain_stores || touch.size > sizeof pending.before)
        return tell_race(touch, other, false);
    pending = {&touch.lane,  &touch.spot, &touch.object, touch.address,
               (uint32_t)touch.size, touch.flags, touch.turn,    other,
               {},           touch.size > 8};
    memcpy(pending.before, reinterpret_cast<void *>(touch.address), touch.size);
    store_pending = true;
}

void look_at_pending_store() {
    if (pending.copies) {
        pending.copies = false;
        return;
    }
    store_pending = false;
    bool equal = !memcmp(pending.before, reinterpret_cast<void *>(pending.address), pending.size);
    tell_race({*pending.lane, *pending.spot, *pending.object, pending.address, pending.size,
               pending.flags, pending.turn},
              pending.other, equal);
}

void report_copy_race(Object &object, size_t offset, const Mark &other, const Mark &copy) {
    Finding finding;
    finding.kind = "race";
    finding.launch = launch_of(other);
    finding.places = {place_of(other, 4), place_of(copy, 0)};
    finding.object = &object;
    finding.offset = (int64_t)offset;
    finding.reach = Reach::streams;
    finding.detail = "\"barrier\":\"stream\"";
    find(finding);
}

/* ---- The host ------------------------------------------------------------------------------ */

namespace {

Finding by_host(const char *kind, const Object *object, uintptr_t a, size_t bytes, bool is_write,
                uintptr_t pc) {
    Finding finding;
    finding.kind = kind;
    finding.places.push_back(host_place(is_write ? "write" : "read", pc, (uint32_t)bytes));
    finding.object = object;
    if (object) finding.offset = (int64_t)(a - object->begin);
    finding.detail = address_json(a);
    return finding;
}

} // namespace

Place host_place(const char *role, uintptr_t pc, uint32_t size) {
    Place place;
    place.role = role;
    place.pc = pc;
    place.path = host_path;
    place.size = size;
    return place;
}

void report_unsynchronized(Object &object, uintptr_t a, size_t bytes, bool is_write,
                           const Mark &mark, uintptr_t pc) {
    Finding finding = by_host("unsynchronized-read", &object, a, bytes, is_write, pc);
    finding.launch = launch_of(mark);
    finding.places.insert(finding.places.begin(), place_of(mark, (uint32_t)bytes));
    find(finding);
}

void report_unsynchronized_copy(uintptr_t a, uintptr_t begin, size_t length, size_t bytes,
                                bool is_write, const Work &work, uintptr_t pc) {
    Finding finding = by_host("unsynchronized-read", nullptr, a, bytes, is_write, pc);
    Place copy = host_place("copy", work.pc, 0);
    copy.path = work.path;
    finding.places.insert(finding.places.begin(), copy);
    finding.detail += ",\"buffer\":" + std::to_string(length) +
                      ",\"offset\":" + std::to_string((int64_t)(a - begin));
    find(finding);
}

void report_short_copy(const ShortCopy &copy) {
    Finding finding;
    finding.kind = "bytes-for-elements";
    finding.places = {host_place("copy", copy.pc)};
    finding.places[0].path = copy.path;
    finding.object = copy.object;
    finding.detail = "\"asked\":" + std::to_string(copy.bytes) +
                     ",\"have\":" + std::to_string(copy.object->bytes) +
                     ",\"element\":" + std::to_string(copy.object->output.width) +
                     ",\"rest_is_read\":true";
    find(finding);
}

/* Kernels wrote it and the program ended, and nobody ever looked. */
void report_unread_output(const Object &object) {
    const Work &writer = *object.output.writer;
    Finding finding;
    finding.kind = "unread-output";
    finding.launch = writer.launch;
    finding.places = {host_place("launch", writer.pc)};
    finding.places[0].path = writer.path;
    finding.object = &object;
    find(finding);
}

void report_host_after_free(Object &object, uintptr_t a, size_t bytes, bool is_write,
                            uintptr_t pc) {
    find(by_host("use-after-free", &object, a, bytes, is_write, pc));
}

void report_device_pointer(Object &object, uintptr_t a, size_t bytes, bool is_write,
                           uintptr_t pc) {
    find(by_host("device-pointer", &object, a, bytes, is_write, pc));
}

} // namespace lab::inspect

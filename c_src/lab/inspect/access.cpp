/* access.cpp: one access, looked at from all sides: which object, whether it is inside and
   aligned, what request it belongs to, whether the bytes were ever written, and who else touched
   them. A clean access takes the straight way through; what is said of the others is in report.cpp.
   */
#include "access.h"
#include <algorithm>
#include <cstring>
#include "objects.h"
#include "report.h"
#include "streams.h"
#include "../runtime/fiber.h"

namespace lab::inspect {

uint64_t accesses;
uint32_t host_path;
volatile bool several_host_threads, host_in_hook;
bool store_pending;

namespace {

uint32_t slots; // spots that kernels have run

/* ---- Requests ------------------------------------------------------------------------------ */

Traffic &begin_traffic(LaunchView &launch, Spot &spot, const Object &object, uint32_t size,
                       uint32_t flags) {
    if (spot.slot < 0) spot.slot = (int)slots++;
    if (launch.traffic.size() < slots) launch.traffic.resize(slots);
    Traffic &traffic = launch.traffic[(size_t)spot.slot];
    traffic.spot = spot.id;
    traffic.size = size;
    traffic.object = &object;
    traffic.kind = object.space == Space::shared     ? Kind::shared
                   : object.space == Space::constant ? Kind::constant
                                                     : Kind::memory;
    traffic.op = flags & Mark::atomic ? Op::atomic : flags & Mark::write ? Op::store : Op::load;
    return traffic;
}

/* Returns how often the lane had executed the spot since its warp last met. */
uint32_t count_request(Lane &lane, Spot &spot, const Object &object, uintptr_t a, uint32_t size,
                       uint32_t flags) {
    LaunchView &launch = *lane.block->launch;
    size_t slot = (size_t)spot.slot;
    if (slot >= launch.traffic.size() || !launch.traffic[slot].spot)
        slot = (begin_traffic(launch, spot, object, size, flags), (size_t)spot.slot);
    Requests &requests = lane.warp->requests;
    auto add = [&] { // the table of traffic may move while others run
        return requests.add((uint32_t)slot, lane.lane, (uint32_t)a, launch.traffic[slot]);
    };
    if (!add()) {
        // Too far ahead of the warp. The others may catch up, unless they have not done so before.
        if (requests.may_catch_up((uint32_t)slot)) yield();
        if (!add()) {
            requests.close_half((uint32_t)slot, launch.traffic[slot]);
            add();
        }
    }
    return requests.executions((uint32_t)slot, lane.lane) - 1;
}

/* ---- Was it ever written? ------------------------------------------------------------------ */

bool written_unseen(Object &object, size_t at, size_t bytes) {
    if (!object.poisoned) return false;
    const unsigned char *memory = reinterpret_cast<unsigned char *>(object.begin);
    for (size_t i = at; i < at + bytes; i++)
        if (!object.defined.bit(i) && memory[i] == poison) return false;
    object.defined.set(at, bytes);
    return true;
}

inline void check_defined(const Touch &touch) {
    Defined &defined = touch.object.defined;
    if (!defined.tracked()) return;
    size_t at = touch.address - touch.object.begin;
    bool reads = !(touch.flags & Mark::write) || (touch.flags & Mark::atomic);
    if (reads && !defined.few(at, touch.size) && !written_unseen(touch.object, at, touch.size))
        report_uninitialized(touch);
    if (touch.flags & Mark::write) defined.set_few(at, touch.size);
}

/* A struct may have padding that nobody writes, so a range counts as written if any of it is. */
void check_range_defined(const Touch &touch) {
    Defined &defined = touch.object.defined;
    if (!defined.tracked()) return;
    size_t at = touch.address - touch.object.begin;
    if (touch.flags & Mark::write)
        defined.set(at, touch.size);
    else if (!defined.any(at, touch.size) && !written_unseen(touch.object, at, touch.size))
        report_uninitialized(touch);
}

/* ---- Who else touched it? ------------------------------------------------------------------ */

/* May these two accesses race at all? In global memory a volatile or atomic access that meets one
   of the other kind is a flag: it is for hand-overs, and order.cpp says what it hands over. In
   shared memory volatile means nothing. */
inline bool can_race(uint32_t a, uint32_t b, bool in_shared) {
    if (!((a | b) & Mark::write)) return false;
    if (a & b & Mark::atomic) return (a | b) & Mark::block_scope; // by another block
    constexpr uint32_t special = Mark::atomic | Mark::is_volatile;
    if (in_shared || !(a & special) || !(b & special)) return true;
    return (a & b & Mark::write) && !((a | b) & Mark::atomic);
}

/* Keeps a mark beside the write: the first thread and the latest one. */
inline void keep(const Lane &lane, Cell &cell, const Mark &mark, bool in_shared) {
    Mark &first = cell.other[0];
    bool mine = first.thread == mark.thread && !first.is(Mark::write);
    if (!first.tick || mine || ordered(lane, first, in_shared))
        first = mark;
    else
        cell.other[1] = mark;
}

/* True if a race was found. */
inline bool visit(const Touch &touch, Cell &cell, const Mark &mark, bool in_shared) {
    const Lane &lane = touch.lane;
    const Mark *against = nullptr;
    auto look = [&](const Mark &other) {
        if (against || !other.tick || !can_race(touch.flags, other.what, in_shared)) return;
        bool atomics = touch.flags & other.what & Mark::atomic;
        if (atomics && other.thread - lane.block->first < lane.block->count) return;
        if (!ordered(lane, other, in_shared)) against = &other;
    };
    look(cell.write);
    look(cell.other[0]);
    look(cell.other[1]);
    if (against) {
        Mark found = *against;
        report_race(touch, found);
    }
    if (!(touch.flags & Mark::write)) {
        keep(lane, cell, mark, in_shared);
        return against;
    }
    // An atomic that follows another thread's hides it from who comes later; it is kept aside.
    if (cell.write.is(Mark::atomic) && cell.write.thread != lane.id &&
        !ordered(lane, cell.write, in_shared))
        keep(lane, cell, cell.write, in_shared);
    cell.write = mark;
    return against;
}

void visit_bytes(const Touch &touch, Cells &table, size_t at, size_t bytes, const Mark &mark,
                 bool in_shared) {
    Cell *cells = table.of(touch.object.bytes);
    bool raced = false;
    for (size_t i = at; i < at + bytes; i++) {
        Cell &byte = table.bytes_of(cells[i / 4])[i % 4];
        if (!raced)
            raced = visit(touch, byte, mark, in_shared);
        else if (touch.flags & Mark::write)
            byte.write = mark;
    }
}

inline void check_races(const Touch &touch) {
    bool in_shared = touch.object.space == Space::shared;
    Mark mark{tick, touch.lane.id,
              touch.spot.id << 10 | std::min(touch.turn, Mark::last_turn) << 4 | touch.flags};
    Cells &table = touch.object.cells;
    Cell *cells = table.of(touch.object.bytes);
    size_t at = touch.address - touch.object.begin;
    if ((at | touch.size) & 3) return visit_bytes(touch, table, at, touch.size, mark, in_shared);
    bool raced = false;
    for (size_t i = at / 4; i < (at + touch.size) / 4; i++) {
        if (cells[i].split)
            visit_bytes(touch, table, i * 4, 4, mark, in_shared);
        else if (!raced)
            raced = visit(touch, cells[i], mark, in_shared);
        else if (touch.flags & Mark::write)
            cells[i].write = mark;
    }
}

/* What a kernel stored is taken if another thread or a later launch comes upon it, and by atomics.
   A thread that reads again what it wrote itself takes nothing away. */
inline void note_output(const Touch &touch) {
    Object &object = touch.object;
    Output &output = object.output;
    const LaunchView &launch = *touch.lane.block->launch;
    bool stores = touch.flags & Mark::write, atomic = touch.flags & Mark::atomic;
    bool by_earlier = output.writer && output.writer != launch.work;
    if (output.writer && (!output.taken || (by_earlier && !output.writer->output_taken))) {
        const Cell &cell = object.cells.of(object.bytes)[(touch.address - object.begin) / 4];
        const Mark &last = cell.write;
        bool later = last.tick && last.tick < launch.begin;
        bool by_other = last.tick && !stores && last.thread != touch.lane.id;
        output.taken |= later || by_other || atomic || cell.split;
        output.writer->output_taken |= later && by_earlier;
    }
    if (!stores) return;
    if (by_earlier) output.writer->output_taken = true; // a later launch goes on with it
    output.taken |= atomic;
    output.widths_differ |= output.width && output.width != touch.size;
    output.width = (uint32_t)touch.size;
    output.writer = launch.work;
}

/* Some stores always write back what their thread has just loaded from the same place: `x += 1`. */
inline void remember_read_back(Lane &lane, Spot &spot, uintptr_t a, uint32_t flags) {
    if (!(flags & Mark::write)) {
        lane.read_spot = spot.id;
        lane.read_address = a;
        return;
    }
    uint32_t before = lane.read_address == a ? lane.read_spot : 0;
    if (!spot.stored) spot.reads_back = before;
    if (spot.reads_back != before) spot.reads_back = 0;
    spot.stored = true;
    lane.read_spot = 0;
}

Object *object_of(Lane &lane, Spot &spot, uintptr_t a, size_t bytes, uint32_t flags) {
    Object *object = objects->around(a);
    if (object && object->holds(a, bytes)) return spot.object = object;
    report_stray(lane, spot, object, a, bytes, flags);
    return nullptr;
}

} // namespace

void device_access(Lane &lane, uintptr_t a, uint32_t size, uint32_t flags, uintptr_t pc) {
    if (a - lane.stack_low < stack_bytes) return;
    if (store_pending) look_at_pending_store();
    accesses++;
    Spot &spot = spots->at(pc, lane.path);
    Object *object = spot.object;
    if (!object || !object->holds(a, size)) {
        object = object_of(lane, spot, a, size, flags);
        if (!object) return;
    }
    uint32_t turn = count_request(lane, spot, *object, a, size, flags);
    Touch touch{lane, spot, *object, a, size, flags, turn};
    if (a & (size - 1)) report_misaligned(touch);
    check_defined(touch);
    remember_read_back(lane, spot, a, flags);
    if (object->space == Space::global) note_output(touch);
    check_races(touch);
}

void device_range(Lane &lane, uintptr_t a, size_t bytes, uint32_t flags, uintptr_t pc) {
    if (a - lane.stack_low < stack_bytes || !bytes) return;
    if (store_pending) look_at_pending_store();
    Spot &spot = spots->at(pc, lane.path);
    Object *object = spot.object;
    if (!object || !object->holds(a, bytes)) {
        object = object_of(lane, spot, a, bytes, flags);
        if (!object) return;
    }
    uint32_t word = bytes % 8 == 0 && bytes > 8 && a % 8 == 0 ? 8
                    : bytes % 4 == 0                        ? 4
                    : bytes % 2 == 0                        ? 2
                                                            : 1;
    constexpr size_t most = 64; // of a longer run only the first words are counted as requests
    size_t words = std::min(bytes / word, most);
    uint32_t turn = 0;
    for (size_t i = 0; i < words; i++)
        turn = count_request(lane, spot, *object, a + i * word, word, flags);
    accesses += words;
    Touch touch{lane, spot, *object, a, bytes, flags, turn / (uint32_t)words};
    check_range_defined(touch);
    if (object->space == Space::global) note_output(touch);
    check_races(touch);
}

/* ---- The host ------------------------------------------------------------------------------ */

namespace {

struct Busy {
    uintptr_t begin, end;
    bool is_written;
    const Work *work;
};

LAB_FIRST Lasting<std::vector<Busy>> busy;

/* True if something was found. */
bool check_busy(uintptr_t a, size_t bytes, bool is_write, uintptr_t pc) {
    bool found = false;
    for (size_t i = 0; i < busy->size(); i++) {
        Busy b = (*busy)[i];
        if (streams->host_knows(b.work->begin)) {
            busy->erase(busy->begin() + (long)i--);
            continue;
        }
        if (a < b.end && a + bytes > b.begin && (is_write || b.is_written))
            report_unsynchronized_copy(a, b.begin, b.end - b.begin, bytes, is_write, *b.work, pc),
                found = true;
    }
    return found;
}

/* Has a kernel touched it that the host did not wait for? */
void check_host_cells(Object &object, uintptr_t a, size_t bytes, bool is_write, uintptr_t pc) {
    Cell *cells = object.cells.if_any();
    if (!cells || streams->host_knows_all()) return;
    size_t at = a - object.begin;
    auto unknown = [](const Mark &m) { return m.tick && !streams->host_knows(m.tick); };
    for (size_t i = at / 4; i <= (at + bytes - 1) / 4; i++) {
        Cell *cell = object.cells.bytes_if_split(cells[i]);
        if (!cell) cell = &cells[i];
        const Mark *mark = unknown(cell->write) ? &cell->write : nullptr;
        if (!mark && is_write && unknown(cell->other[0])) mark = &cell->other[0];
        if (mark) return report_unsynchronized(object, a, bytes, is_write, *mark, pc);
    }
}

} // namespace

/* An asynchronous copy touches the object as a launch does: marks for whoever is not ordered after
   it, and a look for those that it is not ordered after. Without a second stream there are none. */
void copy_touches(Object &object, uintptr_t a, size_t bytes, bool is_write, const Work &work) {
    if (!streams->several()) return;
    Spot &spot = spots->at(work.pc, work.path);
    Mark mark{work.begin, copy_engine, spot.id << 10 | (is_write ? Mark::write : 0)};
    Cell *cells = object.cells.of(object.bytes);
    auto unordered = [&](const Mark &m) { return m.tick && !streams->ordered(work, m.tick); };
    size_t at = a - object.begin;
    bool told = false;
    for (size_t i = at / 4; i < (at + bytes + 3) / 4; i++) {
        Cell &cell = cells[i];
        const Mark *other = unordered(cell.write) ? &cell.write : nullptr;
        if (!other && is_write && unordered(cell.other[0])) other = &cell.other[0];
        if (other && !told) report_copy_race(object, i * 4, *other, mark);
        told = told || other;
        cell.split = 0;
        (is_write ? cell.write : cell.other[0]) = mark;
    }
}

void host_buffer_busy(uintptr_t a, size_t bytes, bool is_written, const Work &work) {
    busy->push_back({a, a + bytes, is_written, &work});
}

/* ---- A copy back that was too short --------------------------------------------------------- */

namespace {

/* A copy to the host of as many bytes as the object has elements. Whoever reads the last element
   that came is watched. */
struct Short {
    ShortCopy copy;
    uintptr_t reader = 0; // the pc

    uintptr_t rest() const { return copy.to + copy.bytes; }
    uintptr_t end() const { return copy.to + copy.object->bytes; }
};

LAB_FIRST Lasting<std::vector<Short>> short_copies;

/* The same instruction goes on to the next element, so it is of the same array, and nothing came
   there: that is told. If the host writes there first, it is its own. */
void check_short_copies(uintptr_t a, size_t bytes, bool is_write, uintptr_t pc) {
    for (size_t i = 0; i < short_copies->size(); i++) {
        Short &s = (*short_copies)[i];
        auto touches = [&](uintptr_t at) { return a <= at && at < a + bytes; };
        if (!is_write && touches(s.rest() - 1)) s.reader = pc;
        bool ends = is_write ? a < s.end() && a + bytes > s.rest()
                             : touches(s.rest()) && s.reader == pc;
        if (!ends) continue;
        if (!is_write) report_short_copy(s.copy);
        short_copies->erase(short_copies->begin() + (long)i--);
    }
}

} // namespace

void watch_short_copy(const ShortCopy &copy) { short_copies->push_back({copy}); }

void forget_short_copies(uintptr_t a, size_t bytes, const Object *from) {
    for (size_t i = 0; i < short_copies->size(); i++) {
        const Short &s = (*short_copies)[i];
        bool touched = a < s.end() && a + bytes > s.copy.to;
        if (touched || (from && from == s.copy.object))
            short_copies->erase(short_copies->begin() + (long)i--);
    }
}

void host_access(uintptr_t a, size_t bytes, bool is_write, uintptr_t pc) {
    if (!busy->empty() && check_busy(a, bytes, is_write, pc)) return;
    if (!short_copies->empty()) check_short_copies(a, bytes, is_write, pc);
    if (objects->far_from_all(a) || !bytes) return;
    Object *object = objects->around(a);
    if (!object) return;
    bool of_host = object->space == Space::managed || object->space == Space::pinned;
    if (object->freed && of_host)
        return report_host_after_free(*object, a, bytes, is_write, pc);
    object->output.take();
    if (!of_host)
        return report_device_pointer(*object, a, bytes, is_write, pc);
    size_t inside = std::min<size_t>(bytes, object->end - a);
    check_host_cells(*object, a, inside, is_write, pc);
    if (is_write && object->defined.tracked()) object->defined.set(a - object->begin, inside);
}

} // namespace lab::inspect

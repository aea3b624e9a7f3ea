/* observers.cpp: what the runtime tells (runtime/observe.h), brought into the inspector's view.

   A block's view is taken from a store and given back, with its lanes and warps, because the
   tables in which requests are put together are worth keeping. */
#include "observers.h"
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <unistd.h>
#include "access.h"
#include "objects.h"
#include "report.h"
#include "streams.h"
#include "../runtime/memory.h"
#include "../runtime/report.h"
#include "../runtime/worker.h"
#include "lab/warp.h"

namespace lab::inspect {

namespace {

LAB_FIRST Lasting<LaunchView> launch_view;           // launches run one after another
LAB_FIRST Lasting<std::vector<BlockView *>> resident; // blocks that have begun and not ended
LAB_FIRST Lasting<std::vector<BlockView *>> spare;
LAB_FIRST Lasting<std::vector<uintptr_t>> basic_blocks; // their pcs; the number 0 is given to none
LAB_FIRST Lasting<PairTable> numbers;                   // of basic blocks

uint64_t launches; // so far

/* What several threads of the host ask of the card is seen one after another. A launch is alone
   from its begin to its end. */
std::recursive_mutex &one_at_a_time() {
    static std::recursive_mutex &mutex = *new std::recursive_mutex; // outlives the exit
    return mutex;
}

/* The thread of main() may be in a hook that began before it could know of this one. */
void wait_for_main() {
    several_host_threads = true;
    constexpr unsigned microseconds = 1000; // a hook takes less than one
    do
        usleep(microseconds);
    while (host_in_hook);
}

void begin_alone() {
    one_at_a_time().lock();
    if (!on_main_thread && !several_host_threads) wait_for_main();
}

void end_alone() { one_at_a_time().unlock(); }

struct Alone {
    Alone() { begin_alone(); }
    ~Alone() { end_alone(); }
};

uint32_t caller_path() { return several_host_threads ? 0 : host_path; }

/* Made after everything else here, so that its function runs at exit after everything else. */
struct Ending {
    Ending() {
        on_main_thread = true;
        atexit(observe::finished);
        signal(SIGABRT, aborted);
    }

    // The host gave up, as by a failed assert: what was found is written before.
    static void aborted(int number) {
        stopped = "abort";
        observe::finished();
        signal(number, SIG_DFL);
        raise(number);
    }
};
LAB_FIRST Lasting<Ending> ending;

/* Of the CPU, since the program began. */
double cpu_seconds() { return (double)clock() / CLOCKS_PER_SEC; }

Lane &lane_of(Thread &t) { return *static_cast<Lane *>(t.seen); }
BlockView &view_of(Block &b) { return *static_cast<BlockView *>(b.seen); }
uintptr_t number_of(const void *p) { return reinterpret_cast<uintptr_t>(p); }

uint32_t number_of_basic_block(uintptr_t pc) {
    uint32_t n = numbers->find(pc, 0);
    if (n) return n;
    if (basic_blocks->empty()) basic_blocks->push_back(0);
    n = (uint32_t)basic_blocks->size();
    basic_blocks->push_back(pc);
    numbers->insert(pc, 0, n);
    return n;
}

/* The lanes of a warp have met: what they asked for since they met before is counted. */
void close_warp(WarpView &warp) {
    warp.requests.close(launch_view->traffic);
    launch_view->branches.resize(basic_blocks->size());
    warp.branches.close(warp.alive_before, launch_view->branches);
    warp.alive_before = warp.requests.alive();
}

void close_block(BlockView &block) {
    for (uint32_t w = 0; w * 32 < block.count; w++) {
        WarpView &warp = *block.warps[w];
        close_warp(warp);
        warp.met_alone = warp.met_loosely = false;
    }
}

} // namespace

void basic_block(Lane &lane, uintptr_t pc) {
    if (store_pending) look_at_pending_store();
    lane.read_spot = 0; // `x += 1` loads and stores in one block; see Spot::reads_back
    lane.warp->branches.add(number_of_basic_block(pc), lane.lane);
}

void volatile_access(Lane &lane, void *address, uint32_t size, bool is_write, uintptr_t pc) {
    uintptr_t a = number_of(address);
    if (is_write) {
        released_volatile(lane, a);
        changed_memory(Site{});
        return;
    }
    uint64_t value = 0;
    memcpy(&value, address, std::min<uint32_t>(size, sizeof value));
    now->pc = reinterpret_cast<void *>(pc);
    stalled(address, value, Site{}); // whoever polls lets others run; the load comes after that
    acquired_volatile(lane, a);
}

/* ---- Counters, as lines of JSON ------------------------------------------------------------ */

namespace {

std::string member(const char *name, uint64_t value) {
    return std::string(",\"") + name + "\":" + std::to_string(value);
}

std::string example_json(const Traffic &t) {
    std::string out = "[";
    for (int lane = 0; lane < 32; lane++) {
        bool takes_part = t.example_lanes >> lane & 1;
        int32_t offset = (int32_t)(t.example[lane] - (uint32_t)t.object->begin);
        out += (lane ? "," : "") + (takes_part ? std::to_string(offset) : std::string("null"));
    }
    return out + "]";
}

void write_traffic(const Traffic &t, uint64_t launch) {
    const Spot &spot = spots->by_id(t.spot);
    const char *op = t.op == Op::atomic ? "atomic" : t.op == Op::store ? "store" : "load";
    std::string out = "{\"event\":\"access\"" + member("launch", launch);
    out += ",\"pc\":" + hex(spot.pc) + ",\"stack\":" + stack_json(spot.path);
    out += std::string(",\"space\":\"") + space_name(t.object->space) + "\",\"op\":\"" + op + "\"";
    out += ",\"object\":" + quoted(t.object->name);
    out += member("size", t.size) + member("requests", t.requests) + member("lanes", t.lanes);
    out += member("sectors", t.sectors) + member("ideal", t.ideal);
    out += member("conflicts", t.conflicts) + member("bytes", t.bytes);
    write_event(out + ",\"example\":" + example_json(t) + "}");
}

void write_counters(uint64_t launch) {
    for (const Traffic &t : launch_view->traffic)
        if (t.requests) write_traffic(t, launch);
    for (size_t n = 1; n < launch_view->branches.size(); n++) {
        const Branch &b = launch_view->branches[n];
        if (b.warps)
            write_event("{\"event\":\"block\"" + member("launch", launch) + ",\"pc\":" +
                        hex((*basic_blocks)[n]) + member("warps", b.warps) +
                        member("lanes", b.lanes) + member("split", b.split) +
                        member("scattered", b.scattered) + "}");
    }
}

} // namespace

void index_out_of_array(Lane &lane, const char *array, int64_t index, uintptr_t pc) {
    Finding finding;
    finding.kind = "out-of-bounds";
    finding.launch = launch_view->info->number;
    finding.places.push_back(place_of(lane, "index", pc, 0, 0));
    finding.detail = "\"array\":" + quoted(array) + ",\"index\":" + std::to_string(index);
    find(finding);
}

} // namespace lab::inspect

/* ---- observe.h ----------------------------------------------------------------------------- */

namespace lab::observe {

using namespace lab::inspect;
using Object = lab::inspect::Object; // the report's own Object is another

void launch_begin(LaunchInfo &info) {
    begin_alone();
    launches++;
    *launch_view = LaunchView{};
    launch_view->info = &info;
    launch_view->block_threads = info.block.x * info.block.y * info.block.z;
    Work &work = streams->begin(info.stream, number_of(info.pc), caller_path());
    work.launch = info.number;
    work.grid = info.grid;
    work.block = info.block;
    launch_view->work = &work;
    launch_view->begin = work.begin;
    launch_view->floor = streams->floor(work);
}

void launch_end(LaunchInfo &info, int) {
    store_pending = false;
    while (!resident->empty()) { // the launch was ended before its blocks
        spare->push_back(resident->back());
        resident->pop_back();
    }
    streams->end(*launch_view->work);
    write_counters(info.number);
    end_alone();
}

namespace {

BlockView &take_view(uint32_t threads, uint32_t warps) {
    BlockView *view = spare->empty() ? new BlockView : spare->back();
    if (!spare->empty()) spare->pop_back();
    resident->push_back(view);
    view->lanes.resize(threads);
    while (view->warps.size() < warps) view->warps.emplace_back(new WarpView);
    view->learned = view->fenced = view->fenced_block = nullptr;
    view->clocked = view->unfenced = false;
    view->last_barrier = 0;
    return *view;
}

void reset(Lane &lane) {
    lane.stack_low = 0;
    lane.path = lane.read_spot = 0;
    lane.learned = lane.fenced = lane.fenced_block = lane.unfenced = nullptr;
}

} // namespace

void block_begin(Block &b) {
    BlockView &view = take_view(b.count, b.warp_count);
    view.launch = &*launch_view;
    view.number = (uint32_t)b.number;
    view.first = (uint32_t)(b.number * b.count);
    view.count = b.count;
    view.begin = view.met = ++tick;
    for (uint32_t w = 0; w < b.warp_count; w++) {
        uint32_t lanes = b.warps[w].lanes;
        WarpView &warp = *view.warps[w];
        warp.alive_before = lanes == 32 ? ~0u : (1u << lanes) - 1;
        warp.requests.start(warp.alive_before);
    }
    for (uint32_t i = 0; i < b.count; i++) {
        Lane &lane = view.lanes[i];
        reset(lane);
        lane.id = view.first + i;
        lane.lane = i % 32;
        lane.warp_number = i / 32;
        lane.warp = view.warps[i / 32].get();
        lane.block = &view;
        b.threads[i].seen = &lane;
    }
    b.seen = &view;
}

void block_end(Block &b) {
    BlockView &view = view_of(b);
    close_block(view);
    resident->erase(std::find(resident->begin(), resident->end(), &view));
    spare->push_back(&view);
}

void thread_begin(Thread &t) {
    lane_of(t).stack_low = number_of(this_worker().running()->bottom);
}

void thread_end(Thread &t) {
    if (store_pending) look_at_pending_store();
    Lane &lane = lane_of(t);
    lane.warp->requests.lane_ended(lane.lane);
    lane.stack_low = 0;
}

/* ---- Barriers, fences, atomics ---- */

void arrive(Thread &, Wait, unsigned, void *) {
    if (store_pending) look_at_pending_store();
}

namespace {

void warp_released(Thread *const *threads, uint32_t count, bool orders_memory) {
    Lane *lanes[32];
    uint32_t mask = 0;
    for (uint32_t i = 0; i < count; i++) {
        lanes[i] = &lane_of(*threads[i]);
        mask |= 1u << lanes[i]->lane;
    }
    WarpView &warp = *lanes[0]->warp;
    if (mask == warp.requests.alive()) close_warp(warp);
    warp.met_alone = true;
    warp.met_loosely = !orders_memory;
    if (orders_memory) warp_passed(warp, lanes, count);
}

} // namespace

void released(Wait kind, Thread *const *threads, unsigned count) {
    if (!count) return;
    BlockView &block = *lane_of(*threads[0]).block;
    if (kind == Wait::block) {
        close_block(block);
        barrier_passed(block, number_of(threads[0]->pc));
    } else if (kind == Wait::grid) {
        for (BlockView *view : *resident) {
            close_block(*view);
            barrier_passed(*view, number_of(threads[0]->pc));
        }
        grid_passed(*launch_view, *resident);
    } else
        warp_released(threads, count,
                      kind == Wait::warp && threads[0]->kind == (int)Meet::sync);
}

void fence(Thread &t, Scope scope, void *) { fence_passed(lane_of(t), scope); }

void atomic_begin(const void *address, unsigned bytes, Scope scope, void *pc) {
    if (!now) return;
    uint32_t flags = Mark::write | Mark::atomic | (scope == Scope::block ? Mark::block_scope : 0);
    device_access(lane_of(*now), number_of(address), bytes, flags, number_of(pc));
}

void atomic_end(const void *address, unsigned, Scope, bool) {
    if (!now) return;
    acquired(lane_of(*now), number_of(address));
    released(lane_of(*now), number_of(address));
}

/* ---- Memory ---- */

void shared_array(Block &, const SharedArray &array) {
    uintptr_t begin = number_of(array.at);
    Object *object = objects->at(begin);
    if (!object || object->bytes != array.bytes || object->name != array.name) {
        object = &objects->enter(begin, array.bytes, Space::shared);
        object->name = array.name;
        object->file = array.file ? array.file : "";
        object->line = array.line;
        object->dynamic = !array.file;
    }
    object->defined.start_undefined(array.bytes);
}

void allocated(const Allocation &a) {
    Alone alone;
    Object &object = objects->enter(number_of(a.base), a.bytes, a.space);
    object.name = a.name;
    object.element = a.element;
    object.file = a.site.file ? a.site.file : "";
    object.line = a.site.line;
    object.allocated_pc = number_of(a.pc);
    object.allocated_path = caller_path();
    if (!a.pc) return; // a variable of the program, which begins as it is written there
    object.defined.start_undefined(a.bytes);
    object.poisoned = a.space == Space::managed || a.space == Space::pinned;
    if (object.poisoned) memset(a.base, poison, a.bytes);
}

void freed(const Allocation &a, void *pc) {
    Alone alone;
    Object *object = objects->at(number_of(a.base));
    if (!object) return;
    objects->free(*object);
    object->freed_pc = number_of(pc);
    object->freed_path = caller_path();
}

namespace {

/* The object that holds the bytes, if one is alive there. */
Object *holding(const void *p, size_t bytes) {
    Object *object = objects->around(number_of(p));
    return object && object->holds(number_of(p), bytes) ? object : nullptr;
}

/* Copies carry with them which bytes were ever written. Of host memory that is not known, so what
   comes from there counts as written. */
void carry_defined(Object &to, size_t at, const Object *from, size_t from_at, size_t bytes) {
    if (!to.defined.tracked()) return;
    if (from && from->defined.tracked() && !from->poisoned)
        to.defined.copy(at, from->defined, from_at, bytes);
    else
        to.defined.set(at, bytes);
}

bool host_gave = false; // has the program ever copied something of the host's to the card?

/* As many bytes as there are elements, of 4 or 8 bytes, and kernels have stored the last one. */
bool copies_bytes_for_elements(Object &object, uintptr_t at, size_t bytes) {
    const Output &output = object.output;
    bool whole_words = (output.width == 4 || output.width == 8) && !output.widths_differ;
    const Cell *cells = object.cells.if_any();
    return whole_words && cells && at == object.begin && bytes * output.width == object.bytes &&
           cells[(object.bytes - output.width) / 4].write.tick;
}

bool call_failed = false; // has any call of the API returned an error?

/* What stays on the card is forgotten there, unless something else that the launch stored was read,
   so that this is a by-product; or the program only tries launches, and gave the card nothing. */
bool is_unread_output(const Object &object) {
    const Output &output = object.output;
    return object.space == Space::global && object.allocated_pc && output.writer &&
           !output.taken && !output.writer->output_taken && host_gave;
}

} // namespace

void copied(void *to, const void *from, size_t bytes, Copy way, void *stream, bool asynchronous,
            void *pc) {
    Alone alone;
    Object *target = holding(to, bytes), *source = holding(from, bytes);
    uintptr_t at = number_of(to), from_at = number_of(from);
    if (way == Copy::host_to_device) host_gave = true;
    forget_short_copies(at, bytes, source);
    if (source && way == Copy::device_to_host && copies_bytes_for_elements(*source, from_at, bytes))
        watch_short_copy({at, bytes, source, number_of(pc), caller_path()});
    if (source) source->output.take();
    if (target) target->output.take();
    if (target)
        carry_defined(*target, at - target->begin, source, source ? from_at - source->begin : 0,
                      bytes);
    if (!asynchronous) return;
    Work &work = streams->begin(stream, number_of(pc), caller_path());
    if (target) copy_touches(*target, at, bytes, true, work);
    if (source) copy_touches(*source, from_at, bytes, false, work);
    streams->end(work);
    // Memory that is not pinned is copied to a buffer of the driver before the call returns.
    if (!target || target->space == Space::pinned) host_buffer_busy(at, bytes, true, work);
    if (source && source->space == Space::pinned) host_buffer_busy(from_at, bytes, false, work);
}

void filled(void *to, size_t bytes, void *, void *) {
    Alone alone;
    Object *target = holding(to, bytes);
    if (target) target->output.take();
    if (target && target->defined.tracked())
        target->defined.set(number_of(to) - target->begin, bytes);
}

/* ---- The host waits ---- */

void synchronised(void *stream, bool everything, void *) {
    Alone alone;
    if (everything)
        streams->host_waits_all();
    else
        streams->host_waits(stream);
}

void stream_made(void *stream, bool nonblocking) {
    Alone alone;
    if (nonblocking) streams->set_nonblocking(stream);
}

void event_recorded(void *event, void *stream, void *) {
    Alone alone;
    streams->event_recorded(event, stream);
}

void event_waited(void *event, void *stream, bool host, void *) {
    Alone alone;
    streams->event_waited(event, stream, host);
}

void api(const char *, int status, void *) { call_failed |= status != 0; }

void ended(int status) {
    if (status && call_failed) return; // it ended early, perhaps before its copies
    objects->each([](const Object &object) {
        if (is_unread_output(object)) report_unread_output(object);
    });
}

void finished() {
    static bool done = false;
    if (done) return;
    done = true;
    emit_findings();
    write_event("{\"event\":\"end\"" + member("launches", launches) +
                member("accesses", accesses) + ",\"seconds\":" + std::to_string(cpu_seconds()) +
                ",\"stopped\":" + quoted(stopped) + "}");
}

} // namespace lab::observe

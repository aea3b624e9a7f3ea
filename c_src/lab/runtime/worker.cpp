/* worker.cpp: how the threads of the resident blocks take turns on one CPU thread. */
#define LAB_RUNTIME
#include "worker.h"

#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

#include "guard.h"
#include "observe.h"
#include "report.h"

__thread uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace lab {

__thread Thread *now;
__thread Pulse pulse;

constexpr double DEADLOCK_AFTER = 0.3; /* seconds of CPU time in which nobody sees anything new */

static double cpu_seconds() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

static std::atomic<uint64_t> serials{0};

/* Initial-exec: one instruction, from the plugin's shared library too. */
static __thread Worker *this_worker_ __attribute__((tls_model("initial-exec")));

Worker &this_worker() {
    if (!this_worker_)
        this_worker_ = new Worker();
    return *this_worker_;
}

/* ---- Blocks -------------------------------------------------------------------------------- */

static void lay_out(Slot &slot, dim3 shape) {
    unsigned count = shape.x * shape.y * shape.z;
    unsigned warps = (count + 31) / 32;
    delete[] slot.threads;
    delete[] slot.warps;
    delete[] slot.order;
    slot.threads = new Thread[count]();
    slot.warps = new Warp[warps]();
    slot.order = new unsigned[count];
    slot.shape = shape;
    for (unsigned i = 0; i < count; i++) {
        Thread &t = slot.threads[i];
        t.index = {i % shape.x, i / shape.x % shape.y, i / shape.x / shape.y};
        t.number = i;
        t.lane = i % 32;
        t.warp = &slot.warps[i / 32];
        t.block = &slot.block;
        slot.order[i] = i;
    }
    for (unsigned w = 0; w < warps; w++)
        slot.warps[w] = Warp{
            w, w + 1 < warps ? 32 : count - w * 32, &slot.threads[w * 32], &slot.block, 0, nullptr};
    slot.block.threads = slot.threads;
    slot.block.warps = slot.warps;
    slot.block.count = count;
    slot.block.warp_count = warps;
}

Slot *Worker::spare_slot() {
    Slot *slot = spare_;
    if (slot)
        spare_ = slot->next;
    else {
        slot = new Slot();
        void *arena = mmap(nullptr, ARENA, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        slot->block.shared = static_cast<char *>(arena);
    }
    const dim3 &shape = launching_->info->block;
    if (slot->shape.x != shape.x || slot->shape.y != shape.y || slot->shape.z != shape.z)
        lay_out(*slot, shape);
    return slot;
}

/* Begins the next block of the launch, if there is one: its first thread runs at once. */
bool Worker::begin_block() {
    if (launching_->resident.fetch_add(1) >= launching_->resident_limit) {
        launching_->resident--;
        return false;
    }
    uint64_t turn = launching_->next.fetch_add(1);
    if (turn >= launching_->blocks) {
        launching_->resident--;
        return false;
    }
    Slot *slot = spare_slot();
    slot->worker = this;
    slot->launching = launching_;
    slot->next = resident_;
    resident_ = slot;
    LaunchInfo &info = *launching_->info;
    Block &b = slot->block;
    b.next = b.votes = b.meetings = b.array_count = 0;
    b.barrier = List{};
    b.divergent = false;
    b.serial = ++serials;
    b.stamp = inspecting ? b.serial : info.number;
    b.launch = &info;
    b.number = block_at(*launching_, turn);
    b.index = {static_cast<unsigned>(b.number % info.grid.x),
               static_cast<unsigned>(b.number / info.grid.x % info.grid.y),
               static_cast<unsigned>(b.number / info.grid.x / info.grid.y)};
    if (inspecting) {
        b.order = slot->order;
        shuffle(b.order, b.count);
    }
    observe::block_begin(b);
    Fiber *fiber = fibers_.get();
    if (!fiber) {
        launching_->fail(2);
        return true;
    }
    b.fibers = 1;
    blockIdx = b.index;
    prepare(*fiber, enter, slot);
    resume(fiber);
    return true;
}

void Worker::end_block(Slot &slot) {
    observe::block_end(slot.block);
    for (Slot **at = &resident_;; at = &(*at)->next)
        if (*at == &slot) {
            *at = slot.next;
            break;
        }
    slot.next = spare_;
    spare_ = &slot;
    launching_->resident--;
    launching_->ended++;
    idle_ = 0;
}

/* ---- Fibers -------------------------------------------------------------------------------- */

/* A fiber of a block: threads one after another, then never again. */
void Worker::enter(void *argument) {
    Slot &slot = *static_cast<Slot *>(argument);
    slot.launching->run(slot.launching->body, slot.block);
    slot.worker->leave_for_good(slot);
}

void Worker::leave_for_good(Slot &slot) {
    Fiber *me = running_;
    now = nullptr;
    pulse.changes++;
    if (--slot.block.fibers == 0)
        end_block(slot);
    fibers_.put(me);
    Fiber *next = choose();
    running_ = next;
    switch_fiber(*me, *next);
}

/* Who goes on. Sets what the program sees of it. */
Fiber *Worker::choose() {
    if (!ready.first || launching_->failed() || looking_only()) {
        now = nullptr;
        return &own_;
    }
    Thread *t = ready.pop();
    idle_ = t->wait == Wait::spin ? idle_ + 1 : 0;
    t->wait = Wait::nothing;
    now = t;
    threadIdx = t->index;
    blockIdx = t->block->index;
    return t->fiber;
}

void Worker::leave() {
    Thread *t = now;
    Block &b = *t->block;
    Fiber *me = running_;
    Fiber *next = nullptr;
    t->fiber = me;
    if (b.next < b.count) {
        next = fibers_.get();
        if (!next)
            fail(2); /* out of memory */
        b.fibers++;
        prepare(*next, enter, reinterpret_cast<char *>(&b) - offsetof(Slot, block));
    } else
        next = choose();
    if (next == me)
        return;
    running_ = next;
    switch_fiber(*me, *next);
}

void Worker::release(List &list, Wait kind) {
    if (inspecting) {
        std::vector<Thread *> threads;
        for (Thread *t = list.first; t; t = t->next)
            threads.push_back(t);
        list = List{};
        auto count = static_cast<unsigned>(threads.size());
        observe::released(kind, threads.data(), count);
        shuffle(threads.data(), count);
        for (Thread *t : threads)
            list.push(t);
    }
    ready.append(list);
}

void Worker::resume(Fiber *fiber) {
    running_ = fiber;
    switch_fiber(own_, *fiber);
    running_ = &own_;
    now = nullptr;
}

void Worker::abandon() {
    Fiber *me = running_;
    now = nullptr;
    running_ = &own_;
    switch_fiber(*me, own_);
    __builtin_unreachable();
}

void Worker::fail(int error) {
    launching_->fail(error);
    abandon();
}

/* ---- The worker's own stack ---------------------------------------------------------------- */

void Worker::work(Launching &launching) {
    Guarded guarded(launching);
    launching_ = &launching;
    launching.working++;
    blockDim = launching.info->block;
    gridDim = launching.info->grid;
    idle_ = 0;
    vain_since_ = 0;
    Settling settling(*this);
    while (!launching.failed()) {
        if (ready.first && !looking_only()) {
            Fiber *next = choose();
            if (next != &own_)
                resume(next);
        } else if (ready.first)
            everybody_looks();
        else if ((!resident_ || launching.info->cooperative) && begin_block())
            continue;
        else if (!resident_)
            break;
        else if (!settling.settle() && !settling.force())
            settling.deadlock();
    }
    if (launching.failed())
        drop_everything();
    launching.working--;
    launching_ = nullptr;
}

/* As many blocks as are here already: who waits for the last one is not kept waiting long. */
bool Worker::begin_more() {
    unsigned count = 0;
    for (Slot *slot = resident_; slot; slot = slot->next)
        count++;
    bool any = false;
    while (count-- && begin_block())
        any = true;
    return any;
}

/* All ready threads have only looked whether somebody else wrote what they wait for. A worker has
   looked in vain if its threads have done so for a while, all of it after the last news of any. */
void Worker::everybody_looks() {
    idle_ = 0;
    bool own_news = pulse.changes != changes_seen_;
    changes_seen_ = pulse.changes;
    Settling settling(*this);
    if (own_news || settling.settle() || begin_more()) {
        launching_->add_news();
        vain_since_ = 0;
        return;
    }
    uint64_t news = launching_->news;
    if (!vain_since_ || (news_seen_ | 65535) != (news | 65535)) {
        news_seen_ = news;
        vain_since_ = cpu_seconds();
        told_vain_ = false;
    } else if (!told_vain_ && cpu_seconds() - vain_since_ > DEADLOCK_AFTER)
        told_vain_ = launching_->news.compare_exchange_strong(news, news + 1);
    bool all = Launching::in_vain(launching_->news) == static_cast<uint64_t>(launching_->working);
    if (told_vain_ && all && !settling.force())
        settling.deadlock();
    sched_yield();
}

/* The launch failed: what its threads were doing is forgotten. */
void Worker::drop_everything() {
    ready = grid = List{};
    while (resident_) {
        resident_->shape = dim3(0, 0, 0);
        end_block(*resident_);
    }
    fibers_.recall();
}

/* ---- One thread of a block after another, in inspect mode ---------------------------------- */

#ifdef LAB_INSPECT
Thread *take(Block &b) {
    if (b.next == b.count)
        return nullptr;
    Thread *t = b.threads + b.order[b.next++];
    now = t;
    threadIdx = t->index;
    observe::thread_begin(*t);
    return t;
}

void give(Block &b, Thread *t) {
    observe::thread_end(*t);
    t->done = b.serial;
}
#endif

}

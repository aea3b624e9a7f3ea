/* worker.cpp: how the threads of the resident blocks take turns on one CPU thread. */
#define LAB_RUNTIME
#include "worker.h"

#include <stdlib.h>
#include <sys/mman.h>

#include <vector>

#include "observe.h"

__thread uint3 threadIdx, blockIdx;
__thread dim3 blockDim, gridDim;

namespace lab {

__thread Thread *now;

constexpr size_t ARENA = 16u << 20; /* address space for the shared memory of one block */

struct Slot {
    Block block{};
    Slot *next = nullptr; /* resident or spare */
    Worker *worker = nullptr;
    Launching *launching = nullptr;
    dim3 shape{0, 0, 0}; /* of the block that `threads` are laid out for */
    Thread *threads = nullptr;
    Warp *warps = nullptr;
};

static std::atomic<uint64_t> serials{0};

/* ---- Blocks -------------------------------------------------------------------------------- */

static void lay_out(Slot &slot, dim3 shape) {
    unsigned count = shape.x * shape.y * shape.z;
    unsigned warps = (count + 31) / 32;
    delete[] slot.threads;
    delete[] slot.warps;
    slot.threads = new Thread[count];
    slot.warps = new Warp[warps]();
    slot.shape = shape;
    for (unsigned i = 0; i < count; i++) {
        Thread &t = slot.threads[i];
        t.index = {i % shape.x, i / shape.x % shape.y, i / shape.x / shape.y};
        t.number = i;
        t.lane = i % 32;
        t.warp = &slot.warps[i / 32];
        t.block = &slot.block;
    }
    for (unsigned w = 0; w < warps; w++)
        slot.warps[w] = Warp{
            w, w + 1 < warps ? 32 : count - w * 32, &slot.threads[w * 32], &slot.block, 0, nullptr};
    slot.block.threads = slot.threads;
    slot.block.warps = slot.warps;
    slot.block.count = count;
    slot.block.warp_count = warps;
}

bool Worker::begin_block() {
    uint64_t number = launching_->next.fetch_add(1);
    if (number >= launching_->blocks)
        return false;
    Slot *slot = spare_;
    if (slot)
        spare_ = slot->next;
    else {
        slot = new Slot();
        void *arena = mmap(nullptr, ARENA, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        slot->block.shared = static_cast<char *>(arena);
    }
    LaunchInfo &info = *launching_->info;
    if (slot->shape.x != info.block.x || slot->shape.y != info.block.y ||
        slot->shape.z != info.block.z)
        lay_out(*slot, info.block);
    slot->worker = this;
    slot->launching = launching_;
    slot->next = resident_;
    resident_ = slot;
    Block &b = slot->block;
    b.next = b.fibers = b.votes = b.meetings = b.array_count = 0;
    b.barrier = List{};
    b.serial = ++serials;
    b.stamp = inspecting ? b.serial : info.number;
    b.launch = &info;
    b.number = number;
    b.index = {static_cast<unsigned>(number % info.grid.x),
               static_cast<unsigned>(number / info.grid.x % info.grid.y),
               static_cast<unsigned>(number / info.grid.x / info.grid.y)};
    observe::block_begin(b);
    Fiber *fiber = fibers_.get();
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
    if (--slot.block.fibers == 0)
        end_block(slot);
    fibers_.put(me);
    Fiber *next = choose();
    running_ = next;
    switch_fiber(*me, *next);
}

/* Who goes on. Sets what the program sees of it. */
Fiber *Worker::choose() {
    if (!ready.first || launching_->error.load(std::memory_order_relaxed)) {
        now = nullptr;
        return &own_;
    }
    Thread *t = ready.pop();
    now = t;
    threadIdx = t->index;
    blockIdx = t->block->index;
    t->wait = Wait::nothing;
    return t->fiber;
}

void Worker::leave() {
    Thread *t = now;
    Block &b = *t->block;
    Fiber *me = running_;
    t->fiber = me;
    Fiber *next;
    if (b.next < b.count && (next = fibers_.get())) {
        b.fibers++;
        prepare(*next, enter, reinterpret_cast<char *>(&b) - offsetof(Slot, block));
    } else
        next = choose();
    if (next == me)
        return;
    running_ = next;
    switch_fiber(*me, *next);
}

void Worker::resume(Fiber *fiber) {
    running_ = fiber;
    switch_fiber(own_, *fiber);
    running_ = &own_;
}

void Worker::abandon() {
    Fiber *me = running_;
    now = nullptr;
    running_ = &own_;
    switch_fiber(*me, own_);
    __builtin_unreachable();
}

/* ---- The worker's own stack ---------------------------------------------------------------- */

void Worker::work(Launching &launching) {
    launching_ = &launching;
    blockDim = launching.info->block;
    gridDim = launching.info->grid;
    while (!launching.error.load(std::memory_order_relaxed)) {
        if (ready.first)
            resume(choose());
        else if (!resident_) {
            if (!begin_block())
                break;
        } else if (!settle()) {
            launching.fail(719);
        }
    }
    drop_everything();
    launching_ = nullptr;
}

static bool barrier_complete(const Block &b) { return b.barrier.count + b.returned() == b.count; }

static void open_barrier(Worker &worker, Block &b) {
    b.result = b.votes;
    b.votes = 0;
    if (inspecting) {
        std::vector<Thread *> threads;
        for (Thread *t = b.barrier.first; t; t = t->next)
            threads.push_back(t);
        observe::released(Wait::block, threads.data(), static_cast<unsigned>(threads.size()));
    }
    worker.ready.append(b.barrier);
}

/* Lets those go whom the return of others has set free. */
bool Worker::settle() {
    bool any = false;
    for (Slot *slot = resident_; slot; slot = slot->next)
        if (slot->block.barrier.count && barrier_complete(slot->block)) {
            open_barrier(*this, slot->block);
            any = true;
        }
    return any;
}

void Worker::drop_everything() {
    ready = List{};
    while (resident_)
        end_block(*resident_);
}

Worker &this_worker() {
    static thread_local Worker *worker;
    if (!worker)
        worker = new Worker();
    return *worker;
}

/* ---- Waiting ------------------------------------------------------------------------------- */

unsigned barrier(Site site, bool predicate) {
    Thread *t = now;
    Block &b = *t->block;
    Worker &worker = this_worker();
    t->site = site;
    t->wait = Wait::block;
    t->pc = __builtin_return_address(0);
    observe::arrive(*t, Wait::block, 0, t->pc);
    b.votes += predicate;
    b.barrier.push(t);
    if (barrier_complete(b))
        open_barrier(worker, b);
    worker.leave();
    return b.result;
}

void yield() {
    Worker &worker = this_worker();
    worker.ready.push(now);
    worker.leave();
}

void fence(int scope) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (now)
        observe::fence(*now, static_cast<Scope>(scope), __builtin_return_address(0));
}

}

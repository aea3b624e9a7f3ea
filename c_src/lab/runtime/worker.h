/* worker.h: one CPU thread that runs blocks: the scheduler of their threads.

   A worker takes a block, puts a fiber into its run() and goes on with whatever is ready. leave()
   is where a thread that waits gives way: first to threads of its block that have not begun, then
   to the ready ones in turn, and when there are none to the worker's own stack, work(). There the
   things are decided that need a look at everything: who is let go because others returned, which
   block begins, and whether this is a deadlock (settle.cpp). */
#ifndef LAB_WORKER_H
#define LAB_WORKER_H

#include "fiber.h"
#include "launch.h"

namespace lab {

class Worker;

constexpr size_t ARENA = 1u << 20; /* address space for the shared memory of one block */

/* A resident block with its threads, warps and shared memory. */
struct Slot {
    Block block{};
    Slot *next = nullptr; /* resident or spare */
    Worker *worker = nullptr;
    Launching *launching = nullptr;
    dim3 shape{0, 0, 0}; /* of the block that `threads` are laid out for */
    Thread *threads = nullptr;
    Warp *warps = nullptr;
    unsigned *order = nullptr;
};

class Worker {
  public:
    /* Runs blocks of the launch until there are none, or the launch has failed. */
    void work(Launching &launching);

    /* The running thread stands in a list, or was made ready: the next one goes on. */
    void leave();

    /* Makes the threads of a list ready. */
    void release(List &list, Wait kind);

    /* The running thread ends here, and the launch with it. */
    [[noreturn]] void fail(int error);
    [[noreturn]] void abandon();

    Launching *launching() { return launching_; }
    Fiber *running() { return running_; }
    bool looking_only() const { return idle_ > 2 * ready.count + 2; }

    List ready;
    List grid; /* the threads at grid.sync() */

  private:
    friend class Settling;

    Fiber *choose();
    static void enter(void *slot);
    void leave_for_good(Slot &slot);
    Slot *spare_slot();
    bool begin_block();
    bool begin_more();
    void end_block(Slot &slot);
    void resume(Fiber *fiber);
    void everybody_looks();
    void drop_everything();

    Launching *launching_ = nullptr;
    Fiber own_; /* the stack of the CPU thread itself */
    Fiber *running_ = &own_;
    FiberStore fibers_;
    Slot *resident_ = nullptr; /* blocks that have begun and not ended */
    Slot *spare_ = nullptr;
    unsigned idle_ = 0; /* threads that went on in turn and had only looked for news */
    uint64_t changes_seen_ = 0;
    uint64_t news_seen_ = 0;
    double vain_since_ = 0; /* CPU time; 0 if there was news */
    bool told_vain_ = false;
};

/* The worker that this CPU thread is; made when it runs its first block. */
Worker &this_worker();

/* settle.cpp: looks at all resident blocks of a worker when no thread can simply go on. */
class Settling {
  public:
    explicit Settling(Worker &worker) : worker_(worker) {}
    bool settle();   /* lets those go whom the return of others has set free */
    bool force();    /* meetings of lanes that will never be complete: reports, goes on */
    void deadlock(); /* reports who waits where */

  private:
    bool settle_block(Block &b);
    bool settle_together(Warp &w);
    bool settle_grid();
    Worker &worker_;
};

/* barrier.cpp, warp.cpp */
bool barrier_complete(const Block &b);
void open_barrier(Worker &worker, Block &b);
bool try_meeting(Worker &worker, Thread &t);
void close_meeting(Worker &worker, Thread &t);

/* order.cpp: the order of threads and blocks, permuted by LAB_SEED in inspect mode. */
void shuffle(Thread **threads, unsigned count);
void shuffle(unsigned *numbers, unsigned count);
uint64_t block_at(const Launching &launching, uint64_t turn);

}

#endif

/* worker.h: one CPU thread that runs blocks: the scheduler of their threads.

   A worker takes a block, puts a fiber into its run() and goes on with whatever is ready. leave()
   is where a thread that waits gives way: first to threads of its block that have not begun, then
   to the ready ones in turn, and when there are none to the worker's own stack, work(). There the
   things are decided that need a look at everything: who is let go because others returned, which
   block begins, and whether this is a deadlock. */
#ifndef LAB_WORKER_H
#define LAB_WORKER_H

#include "fiber.h"
#include "launch.h"

namespace lab {

struct Slot; /* a resident block with its threads, warps and shared memory */

class Worker {
  public:
    /* Runs blocks of the launch until there are none, or the launch has failed. */
    void work(Launching &launching);

    /* From a thread of CUDA: it stands in a list, or never goes on. */
    void leave();
    List ready;

    [[noreturn]] void abandon();
    [[noreturn]] void end_launch(int error) {
        launching_->fail(error);
        abandon();
    }

    Fiber *running() { return running_; }

  private:
    Fiber *choose();
    static void enter(void *slot);
    void leave_for_good(Slot &slot);
    bool begin_block();
    void end_block(Slot &slot);
    void resume(Fiber *fiber);
    bool settle();
    void drop_everything();

    Launching *launching_ = nullptr;
    Fiber own_; /* the stack of the CPU thread itself */
    Fiber *running_ = &own_;
    FiberStore fibers_;
    Slot *resident_ = nullptr; /* blocks that have begun and not ended */
    Slot *spare_ = nullptr;
};

/* The worker that this CPU thread is; made when it runs its first block. */
Worker &this_worker();

}

#endif

/* fiber.h: a stack that a CUDA thread waits on, and the switch from one to another. fiber.cpp. */
#ifndef LAB_FIBER_H
#define LAB_FIBER_H

#include "thread.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

namespace lab {

struct Fiber {
    void *stack_pointer = nullptr; /* while it is not running */
    Thread *thread = nullptr;      /* the CUDA thread that it holds */
    Fiber *next = nullptr;         /* in the list of free ones */
    char *bottom = nullptr;        /* of its stack; the guard page lies below */
    void (*entry)(void *) = nullptr;
    void *argument = nullptr;
#if !defined(__x86_64__) && !defined(__aarch64__)
    ucontext_t context;
#endif
};

/* Fibers that are not in use. Each worker has its own store. */
class FiberStore {
  public:
    Fiber *get();  /* a fiber with a stack; null if there is no memory */
    void recall(); /* takes all back, whatever they were doing */
    void put(Fiber *fiber) {
        fiber->next = free_;
        free_ = fiber;
    }

  private:
    bool grow();
    Fiber *free_ = nullptr;
    struct Slab *slabs_ = nullptr;
};

/* The next switch to `fiber` calls entry(argument), which never returns. */
void prepare(Fiber &fiber, void (*entry)(void *), void *argument);

/* Stops the running fiber, kept in `from`, and goes on with `to`. */
void switch_fiber(Fiber &from, Fiber &to);

/* Whether the address is in the guard page of some fiber's stack. */
bool in_guard_page(const void *address);

extern size_t stack_bytes; /* of one fiber: LAB_STACK, in KiB, default 256 */

}

#endif

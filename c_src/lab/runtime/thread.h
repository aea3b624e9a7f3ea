/* thread.h: what a CUDA thread, a warp, a block and a launch are to the lab.

   Half of it is compiled into the program: lab::run() in launch.h takes one thread of a block after
   another and calls the kernel for each. A thread that never waits is a plain call. When one
   waits, it keeps the fiber it is on, and another fiber goes on with run(); worker.h tells how.

   A block has `fibers` fibers in run(), each with one thread that has begun and not returned. So
   the threads that returned are next - fibers, and nobody counts them one by one. */
#ifndef LAB_THREAD_H
#define LAB_THREAD_H

#include "lab/index.h"

namespace lab {

struct Block;
struct Fiber;
struct Warp;
struct Meeting;

enum class Wait : unsigned char {
    nothing,  /* not begun, running or ready */
    block,    /* __syncthreads and its kin */
    grid,     /* grid.sync() */
    warp,     /* shuffles, votes, __syncwarp: the lanes of a mask */
    together, /* __activemask, coalesced_threads: whoever of the warp comes here */
    spin      /* ready, but its last atomic or volatile access changed nothing */
};

struct Thread {
    uint3 index;     /* threadIdx */
    unsigned number; /* in its block, x first */
    unsigned lane;
    Wait wait = Wait::nothing;
    Warp *warp;
    Block *block;
    uint64_t done = 0; /* the serial of the block in which it returned */
    Fiber *fiber;      /* while it has begun and not returned */
    Thread *next;      /* in the list it stands in */
    Site site{};       /* where it waits, or waited last */
    unsigned mask;     /* of the lanes it waits for */
    int kind;          /* which meeting of lanes */
    uint64_t offer;    /* what it brings to a meeting, */
    int argument;      /* what it asks for, */
    uint64_t result;   /* and what it gets */
    void *pc;          /* the return address of the call that waits */
    void *seen;        /* the observer's */
};

/* A queue of threads through their `next`. */
struct List {
    Thread *first = nullptr;
    Thread *last = nullptr;
    unsigned count = 0;

    void push(Thread *t) {
        t->next = nullptr;
        (first ? last->next : first) = t;
        last = t;
        count++;
    }
    Thread *pop() {
        Thread *t = first;
        first = t->next;
        count--;
        return t;
    }
    void append(List &other) {
        if (!other.first)
            return;
        (first ? last->next : first) = other.first;
        last = other.last;
        count += other.count;
        other = List{};
    }
};

struct Warp {
    unsigned number; /* in its block */
    unsigned lanes;  /* 32, or fewer in the last one */
    Thread *threads; /* its first; the others follow */
    Block *block;
    unsigned waiting; /* lanes that wait for a meeting */
    void *seen;
};

/* One launch of one kernel. */
struct LaunchInfo {
    const char *kernel;
    const char *file;
    int line;
    dim3 grid, block;
    size_t dynamic_shared;
    void *stream;
    bool cooperative;
    uint64_t number;      /* the first launch is 1 */
    size_t static_shared; /* grows as the kernel's threads come upon shared arrays */
    void *pc;             /* of the launch, in the host's code */
};

struct SharedArray {
    const char *name, *file;
    int line;
    char *at;
    size_t bytes;
};

struct Block {
    Thread *threads;
    unsigned next; /* threads that have begun */
    unsigned count;
    unsigned fibers; /* in run(), see above */
    unsigned *order; /* in which its threads begin; null: as numbered */
    uint64_t serial; /* no two blocks of a process have the same */
    uint64_t stamp;  /* Shared<T> knows its place while this does not change, see shared.h */
    char *shared;    /* the arena of its shared memory */
    LaunchInfo *launch;
    uint3 index;     /* blockIdx */
    uint64_t number; /* in its grid, x first */
    List barrier;    /* the threads at __syncthreads */
    unsigned votes;  /* of __syncthreads_count: the predicates that held, */
    unsigned result; /* and how many had when it opened last */
    bool divergent;  /* some of them wait at another line than the first */
    Warp *warps;
    unsigned warp_count;
    unsigned meetings;   /* threads that wait for lanes */
    SharedArray *arrays; /* inspect mode: those of this block so far, */
    unsigned array_count;
    void *seen; /* the observer's */

    unsigned returned() const { return next - fibers; }
};

/* The thread that runs on this worker, null in host code. */
extern __thread Thread *now __attribute__((tls_model("initial-exec")));

LAB_OWN Thread *current() { return now; }

#ifdef LAB_INSPECT
Thread *take(Block &b);
void give(Block &b, Thread *t);
#else
/* The next thread of the block, which begins; null when all have. */
LAB_OWN Thread *take(Block &b) {
    if (b.next == b.count)
        return nullptr;
    Thread *t = b.threads + b.next++;
    now = t;
    threadIdx = t->index;
    return t;
}

/* That thread returned. */
LAB_OWN void give(Block &b, Thread *t) { t->done = b.serial; }
#endif

/* What this worker's threads did of late that others may wait for. */
struct Pulse {
    uint64_t changes; /* atomics and volatile stores that changed memory, arrivals, returns */
    int patience;     /* used up by such accesses; without any the thread gives way */
};
extern __thread Pulse pulse __attribute__((tls_model("initial-exec")));

constexpr int PATIENCE = 1024;
void out_of_patience(Site site);

/* An access changed memory: news for whoever waits for it. */
LAB_OWN void changed_memory(Site site) {
    pulse.changes++;
    if (__builtin_expect(--pulse.patience < 0, 0))
        out_of_patience(site);
}

/* An atomic or volatile access left `cell` as it was. Gives way if that was so before. */
void stalled(const void *cell, uint64_t value, Site site);

/* Lets other threads go on first: of the block, then others. A hook of the observer may call it. */
void yield();

}

#endif

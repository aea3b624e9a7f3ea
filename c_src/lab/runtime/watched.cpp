/* watched.cpp: what a thread's begin and end cost more in inspect mode: the observer is told, and
   the threads of a block begin in an order that a seed draws (LAB_SEED), since no program may rely
   on any. */
#define LAB_RUNTIME
#ifdef LAB_INSPECT
#include <stdlib.h>

#include "observe.h"
#include "worker.h"

namespace lab {

static uint64_t seed() {
    static const uint64_t value = [] {
        const char *text = getenv("LAB_SEED");
        return text ? strtoull(text, nullptr, 10) : 0;
    }();
    return value;
}

/* SplitMix64 (Steele, Lea, Flood 2014): a good number from a counter. */
static uint64_t mixed(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void draw_order(Block &b) {
    delete[] b.order;
    b.order = new unsigned[b.count];
    uint64_t draw = mixed(seed() ^ mixed(b.number + 1));
    for (unsigned i = 0; i < b.count; i++) {
        unsigned j = static_cast<unsigned>(draw % (i + 1));
        b.order[i] = b.order[j];
        b.order[j] = i;
        draw = mixed(draw);
    }
}

Thread *take(Block &b) {
    if (b.next == b.count)
        return nullptr;
    if (b.next == 0)
        draw_order(b);
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

void end_launch(int error) { this_worker().end_launch(error); }

}
#endif

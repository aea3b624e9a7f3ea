/* spin.cpp: threads that wait by looking at memory again and again.

   Every atomic and every volatile access costs patience, and a thread without any gives way. One
   that finds in a cell what it found there before costs most: that is how a thread waits. If it
   was such a look that used up the patience, the thread counts as waiting for news; when all
   threads do and none comes, they wait for ever. A loop over many cells is no waiting, and only
   gives way now and then. */
#define LAB_RUNTIME
#include "lab/load.h"
#include "worker.h"

namespace lab {

constexpr int SAME_AGAIN = 128, OTHER_CELL = 8; /* of a PATIENCE of 1024: see thread.h */
constexpr unsigned REMEMBERED = 8;

struct Look {
    const void *cell;
    uint64_t value;
    const Thread *thread;
};
static __thread Look looks[REMEMBERED];

static void give_way(Site site, bool waits) {
    Thread *t = now;
    pulse.patience = PATIENCE;
    if (!t)
        return;
    t->site = site;
    if (waits)
        t->wait = Wait::spin;
    Worker &worker = this_worker();
    worker.ready.push(t);
    worker.leave();
}

void out_of_patience(Site site) { give_way(site, false); }

void stalled(const void *cell, uint64_t value, Site site) {
    Look &look = looks[reinterpret_cast<uintptr_t>(cell) / 4 % REMEMBERED];
    bool same = look.cell == cell && look.value == value && look.thread == now;
    look = {cell, value, now};
    pulse.patience -= same ? SAME_AGAIN : OTHER_CELL;
    if (pulse.patience < 0)
        give_way(site, same);
}

void sleep(Site site) {
    if (now)
        give_way(site, true);
}

}

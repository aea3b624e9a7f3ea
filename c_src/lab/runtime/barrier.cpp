/* barrier.cpp: __syncthreads and its kin, grid.sync(), fences, and giving way.

   A barrier opens when every thread of the block has come or returned: as on a card, threads that
   returned count as arrived. Threads that wait at different lines are reported; then the barrier
   opens all the same, as a card's does. */
#define LAB_RUNTIME
#include "lab/sync.h"

#include "observe.h"
#include "report.h"
#include "worker.h"

namespace lab {

bool barrier_complete(const Block &b) { return b.barrier.count + b.returned() == b.count; }

static bool same(Site a, Site b) { return a.line == b.line && a.file == b.file; }

/* Two threads of the block that wait at different lines. */
static void report_divergence(const Block &b) {
    const Thread &first = *b.barrier.first;
    for (const Thread *t = first.next; t; t = t->next) {
        if (same(t->site, first.site))
            continue;
        unsigned here = 0;
        for (const Thread *each = &first; each; each = each->next)
            here += same(each->site, first.site);
        Finding f;
        f.kind = "barrier-divergence";
        f.launch = b.launch;
        f.scope = "block";
        f.words = "in " + name_of(*b.launch) + ", " + std::to_string(here) + " threads of block " +
                  std::to_string(b.number) + " wait at " + where(first.site) + " and " +
                  std::to_string(b.barrier.count - here) + " elsewhere: " + name_of(first) +
                  " is at the __syncthreads of " + where(first.site) + ", " + name_of(*t) +
                  " at that of " + where(t->site) +
                  ". All threads of a block must come to the "
                  "same one.";
        f.places = {Place("barrier", first), Place("barrier", *t)};
        report(f);
        return;
    }
}

void open_barrier(Worker &worker, Block &b) {
    if (b.divergent)
        report_divergence(b);
    b.divergent = false;
    b.result = b.votes;
    b.votes = 0;
    worker.release(b.barrier, Wait::block);
}

unsigned barrier(Site site, bool predicate) {
    Thread *t = now;
    Block &b = *t->block;
    Worker &worker = this_worker();
    t->site = site;
    t->pc = __builtin_return_address(0);
    t->wait = Wait::block;
    observe::arrive(*t, Wait::block, ~0u, t->pc);
    if (b.barrier.first && !same(b.barrier.first->site, site))
        b.divergent = true;
    pulse.changes++;
    b.votes += predicate;
    b.barrier.push(t);
    if (barrier_complete(b))
        open_barrier(worker, b);
    worker.leave();
    return b.result;
}

void grid_barrier(Site site) {
    Thread *t = now;
    Worker &worker = this_worker();
    t->site = site;
    t->pc = __builtin_return_address(0);
    if (!t->block->launch->cooperative) {
        Finding f;
        f.kind = "launch-failed";
        f.launch = t->block->launch;
        f.words = name_of(*f.launch) + " calls grid.sync() at " + where(site) +
                  ", but was not launched by cudaLaunchCooperativeKernel.";
        f.places = {Place("barrier", *t)};
        report(f);
        worker.fail(719);
    }
    t->wait = Wait::grid;
    observe::arrive(*t, Wait::grid, ~0u, t->pc);
    pulse.changes++;
    worker.grid.push(t);
    worker.leave();
}

void fence(int scope) {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    observe::fence(*now, static_cast<Scope>(scope), __builtin_return_address(0));
}

void yield() {
    if (!now)
        return;
    Worker &worker = this_worker();
    worker.ready.push(now);
    worker.leave();
}

}

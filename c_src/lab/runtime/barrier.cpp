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

/* The first thread at each line at which some of the block wait. */
static std::vector<const Thread *> one_of_each_line(const Block &b) {
    std::vector<const Thread *> firsts;
    for (const Thread *t = b.barrier.first; t; t = t->next) {
        bool known = false;
        for (const Thread *other : firsts)
            known = known || same(t->site, other->site);
        if (!known)
            firsts.push_back(t);
    }
    return firsts;
}

static void report_divergence(const Block &b) {
    Finding f;
    f.kind = "barrier-divergence";
    f.launch = b.launch;
    f.scope = "block";
    f.words = "in " + name_of(*b.launch) + ", threads of block " + std::to_string(b.number) +
              " wait at different lines:";
    f.detail = "{\"waiting\":[";
    for (const Thread *first : one_of_each_line(b)) {
        unsigned count = 0;
        for (const Thread *t = b.barrier.first; t; t = t->next)
            count += same(t->site, first->site);
        const char *comma = f.places.empty() ? "" : ",";
        f.words += std::string(comma) + " " + std::to_string(count) + " threads at " +
                   where(first->site) + " (" + name_of(*first) + ")";
        f.detail += std::string(comma) + "{\"line\":" + std::to_string(first->site.line) +
                    ",\"what\":\"__syncthreads\",\"count\":" + std::to_string(count) + "}";
        f.places.push_back(Place("barrier", *first));
    }
    f.words += ". All threads of a block must come to the same __syncthreads.";
    f.detail += "],\"finished\":" + std::to_string(b.returned()) + "}";
    report(f);
}

/* Some threads wait at one line, and the others have returned without it: on a card that passes.
   Whether the barrier stands in a branch is not known here; etude_cuda/lab/branches.py looks. */
static void report_passed_by(const Block &b) {
    static Site told; /* mostly a block does so at the same line as the one before */
    const Thread &first = *b.barrier.first;
    if (same(told, first.site))
        return;
    told = first.site;
    Finding f;
    f.kind = "barrier-in-branch";
    f.launch = b.launch;
    f.scope = "block";
    f.places = {Place("barrier", first)};
    f.detail = "{\"waiting_threads\":" + std::to_string(b.barrier.count) +
               ",\"returned\":" + std::to_string(b.returned()) + "}";
    report(f);
}

void open_barrier(Worker &worker, Block &b) {
    if (b.divergent)
        report_divergence(b);
    else if (inspecting && b.returned())
        report_passed_by(b);
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

/* pool.cpp: the blocks of a launch over the cores of the CPU.

   The thread that launches works too. The others are started by the first launch that is worth it,
   LAB_WORKERS in all (else ETUDE_NUM_THREADS, else the cores that this process may use), and wait
   for the next launch.
   In inspect mode, and for cooperative launches, whose blocks wait for each other, there is one. */
#define LAB_RUNTIME
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include <condition_variable>
#include <mutex>

#include "observe.h"
#include "worker.h"

namespace lab {

constexpr uint64_t WORTH_IT = 4096; /* threads of a launch; fewer are done before a worker wakes */

struct Pool {
    std::mutex lock;
    std::condition_variable wake, idle;
    Launching *launching = nullptr;
    unsigned started = 0; /* threads besides the one that launches */
    unsigned wanted = 0;  /* that have not joined this launch */
    unsigned busy = 0;
};
static Pool *pool = new Pool();

static unsigned workers() {
    static const unsigned count = [] {
        int asked = 0;
        for (const char *name : {"LAB_WORKERS", "ETUDE_NUM_THREADS"})
            if (const char *text = getenv(name); text && asked <= 0)
                asked = atoi(text);
        cpu_set_t cores;
        if (asked <= 0 && sched_getaffinity(0, sizeof cores, &cores) == 0)
            asked = CPU_COUNT(&cores);
        return asked > 0 ? static_cast<unsigned>(asked) : 1u;
    }();
    return count;
}

static void *helper(void *) {
    Pool &p = *pool;
    std::unique_lock<std::mutex> hold(p.lock);
    for (;;) {
        p.wake.wait(hold, [&] { return p.wanted > 0; });
        p.wanted--;
        p.busy++;
        Launching *launching = p.launching;
        hold.unlock();
        this_worker().work(*launching);
        hold.lock();
        if (--p.busy == 0)
            p.idle.notify_one();
    }
    return nullptr;
}

/* Signals of the program are for the program's own threads, except the one that ends a kernel. */
static void start_helpers(Pool &p, unsigned count) {
    sigset_t all, before;
    sigfillset(&all);
    for (int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGURG})
        sigdelset(&all, signal);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; p.started < count; p.started++) {
        pthread_t thread;
        if (pthread_create(&thread, nullptr, helper, nullptr) != 0)
            break;
        pthread_detach(thread);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void run_on_pool(Launching &launching) {
    uint64_t threads = launching.blocks * launching.threads;
    uint64_t others = workers() - 1;
    if (others > launching.blocks - 1)
        others = launching.blocks - 1;
    if (inspecting || launching.info->cooperative || threads < WORTH_IT || !others)
        return this_worker().work(launching);
    Pool &p = *pool;
    {
        std::lock_guard<std::mutex> hold(p.lock);
        start_helpers(p, static_cast<unsigned>(others));
        p.launching = &launching;
        p.wanted = p.started < others ? p.started : static_cast<unsigned>(others);
    }
    p.wake.notify_all();
    this_worker().work(launching);
    std::unique_lock<std::mutex> hold(p.lock);
    p.wanted = 0;
    p.idle.wait(hold, [&] { return p.busy == 0; });
}

/* The helpers are not in the child: it begins anew, and leaves what they held. */
void pool_after_fork() { pool = new Pool(); }

}

/* watcher.cpp: kernels that never end, and how far a long one is.

   The watcher is a thread that begins with the first launch and looks five times a second. When no
   block has ended for LAB_TIMEOUT seconds (default 120, in inspect mode 1200, 0 for never), it ends
   the launch. Every five seconds of a launch it writes down how many blocks are done. */
#define LAB_RUNTIME
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "guard.h"
#include "lab/errors.h"
#include "observe.h"
#include "report.h"

namespace lab {

constexpr double TELL_EVERY = 5; /* seconds */

static std::atomic<bool> running{false};

double time_limit() {
    static const double limit = [] {
        const char *text = getenv("LAB_TIMEOUT");
        return text && *text ? strtod(text, nullptr) : inspecting ? 1200.0 : 120.0;
    }();
    return limit;
}

static void write_progress(const Launching &launching, double began) {
    const LaunchInfo &l = *launching.info;
    write_event("{\"event\":\"progress\",\"launch\":" + std::to_string(l.number) +
                ",\"kernel\":" + quoted(l.kernel) + ",\"line\":" + std::to_string(l.line) +
                ",\"done\":" + std::to_string(launching.ended) +
                ",\"blocks\":" + std::to_string(launching.blocks) +
                ",\"seconds\":" + std::to_string(seconds() - began) + "}");
}

/* What the watcher has seen of the launch that runs. */
struct Watch {
    uint64_t number = 0, ended = 0;
    double began = 0, block_ended = 0, told = 0;

    void look(const Launching &launching) {
        double t = seconds();
        if (launching.info->number != number) {
            number = launching.info->number;
            began = block_ended = told = t;
        }
        if (launching.ended != ended) {
            ended = launching.ended;
            block_ended = t;
        }
        if (t - told > TELL_EVERY) {
            told = t;
            write_progress(launching, began);
        }
        bool late = time_limit() > 0 && t - block_ended > time_limit();
        if (late || launching.failed())
            stop_kernels(cudaErrorLaunchTimeout);
    }
};

static void *watcher(void *) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    for (Watch watch;;) {
        usleep(200000);
        std::lock_guard<std::mutex> hold(watching);
        if (Launching *launching = watched)
            watch.look(*launching);
    }
    return nullptr;
}

void start_watcher() {
    pthread_t thread;
    if (!running.exchange(true) && pthread_create(&thread, nullptr, watcher, nullptr) == 0)
        pthread_detach(thread);
}

void watcher_after_fork() { running = false; }

}

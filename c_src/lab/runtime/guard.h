/* guard.h: what may go wrong while a kernel runs: faults, kernels that never end. guard.cpp. */
#ifndef LAB_GUARD_H
#define LAB_GUARD_H

#include <mutex>

#include "launch.h"

namespace lab {

/* Above 0 while this CPU thread holds a lock of the lab: then its kernel cannot be left. */
extern __thread int busy;
struct Busy {
    Busy() { busy++; }
    ~Busy() { busy--; }
};

/* While one lives, this CPU thread runs threads of the launch. */
struct Guarded {
    explicit Guarded(Launching &launching);
    ~Guarded();
};

constexpr int STOPPED = 999; /* the error of a launch that Ctrl-C ended */

/* Ends the running launch from outside, on Ctrl-C or after the time limit; false if none runs. */
bool stop_kernels(int error);

/* The launch that runs in this process now, or null. */
void watch(Launching *launching);

/* From here on a crash of the host, on this thread, is told with its lines. */
void guard_host();

void guard_after_fork();

/* watcher.cpp: what ends a kernel that never ends. */
void start_watcher();
void watcher_after_fork();
double time_limit();                     /* seconds; 0 is none */
extern std::atomic<Launching *> watched; /* the launch that runs, */
extern std::mutex watching;              /* which stays while somebody holds this */

}

#endif

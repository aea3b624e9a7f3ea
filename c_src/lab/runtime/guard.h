/* guard.h: what may go wrong while a kernel runs: faults, kernels that never end. guard.cpp. */
#ifndef LAB_GUARD_H
#define LAB_GUARD_H

#include "launch.h"

namespace lab {

/* While one lives, this CPU thread runs threads of the launch. */
struct Guarded {
    explicit Guarded(Launching &launching);
    ~Guarded();
};

/* Ends the running launch from outside, on Ctrl-C or after the time limit. */
void stop_kernels(int error);

/* The launch that runs in this process now, or null. */
void watch(Launching *launching);

void guard_after_fork();

}

#endif

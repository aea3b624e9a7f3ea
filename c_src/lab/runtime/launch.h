/* launch.h: a launch while it runs. launch.cpp checks it and gives its blocks to the workers. */
#ifndef LAB_RUNTIME_LAUNCH_H
#define LAB_RUNTIME_LAUNCH_H

#include <atomic>

#include "lab/launch.h"

namespace lab {

struct Launching {
    LaunchInfo *info;
    Run run;
    void *body;
    uint64_t blocks;
    unsigned threads;              /* of a block */
    std::atomic<uint64_t> next{0}; /* the block that begins next */
    std::atomic<int> error{0};     /* what ended it, 0 if nothing */

    /* Every worker stops at its next switch; the first error stays. */
    void fail(int code) {
        int none = 0;
        error.compare_exchange_strong(none, code);
    }
};

/* Bytes of dynamic shared memory that the kernel of this name may ask for. kernel.cpp. */
size_t shared_limit(const char *kernel);

uint64_t launch_count();

}

#endif

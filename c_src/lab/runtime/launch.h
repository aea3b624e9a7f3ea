/* launch.h: a launch while it runs. launch.cpp checks it, pool.cpp gives its blocks to workers. */
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
    uint64_t resident_limit;       /* blocks that the card holds at once */
    std::atomic<uint64_t> next{0}; /* the block that begins next */
    std::atomic<uint64_t> resident{0}, ended{0};
    std::atomic<int> error{0}; /* what ended it, 0 if nothing */

    /* The number of news that workers had, times 65536, plus the workers that have looked in vain
       for long since the last. When all of them have, it is a deadlock. */
    std::atomic<uint64_t> news{0};
    std::atomic<int> working{0};

    static uint64_t in_vain(uint64_t news) { return news & 65535; }
    void add_news() {
        uint64_t old = news;
        while (!news.compare_exchange_weak(old, (old | 65535) + 1)) {
        }
    }

    bool failed() const { return error.load(std::memory_order_relaxed) != 0; }

    /* Every worker stops at its next switch. Only the first one to fail is told true. */
    bool fail(int code) {
        int none = 0;
        return error.compare_exchange_strong(none, code);
    }
};

/* Bytes of dynamic shared memory that the kernel of this name may ask for. kernel.cpp. */
size_t shared_limit(const char *kernel);
void remember_static_shared(const char *kernel, size_t bytes);

uint64_t launch_count();
extern void (*at_end_of_launch)(); /* set by program.cpp; null elsewhere */

double seconds(); /* by the monotonic clock */

}

#endif

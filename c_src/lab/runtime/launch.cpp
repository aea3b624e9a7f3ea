/* launch.cpp: a launch is checked, then its blocks are run. */
#define LAB_RUNTIME
#include "launch.h"

#include <mutex>

#include "observe.h"
#include "worker.h"

namespace lab {

static std::mutex one_at_a_time;
static uint64_t launches;

int execute(LaunchInfo &info, Run run, void *body) {
    std::lock_guard<std::mutex> hold(one_at_a_time);
    info.number = ++launches;
    Launching launching{&info, run, body,
                        static_cast<uint64_t>(info.grid.x) * info.grid.y * info.grid.z,
                        info.block.x * info.block.y * info.block.z};
    observe::launch_begin(info);
    this_worker().work(launching);
    observe::launch_end(info, launching.error);
    return launching.error;
}

}

/* launch.cpp: a launch is checked against what a card allows, then its blocks are run. */
#define LAB_RUNTIME
#include "launch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <mutex>

#include "device.h"
#include "error.h"
#include "guard.h"
#include "memory.h"
#include "observe.h"
#include "pool.h"
#include "report.h"

namespace lab {

static std::mutex one_at_a_time;
static uint64_t launches;
void (*at_end_of_launch)();

uint64_t launch_count() { return launches; }

/* Why a card would not take this launch, in words; empty if it would. */
static std::string objection(const LaunchInfo &l) {
    auto number = [](uint64_t n) { return std::to_string(n); };
    uint64_t threads = static_cast<uint64_t>(l.block.x) * l.block.y * l.block.z;
    if (!threads)
        return "its block has no threads";
    if (!l.grid.x || !l.grid.y || !l.grid.z)
        return "its grid has no blocks";
    if (threads > THREAD_LIMIT)
        return "its block has " + number(threads) + " threads; a block may have 1024";
    if (l.block.z > 64)
        return "its block is " + number(l.block.z) + " deep in z; it may be 64";
    if (l.grid.x > 0x7fffffff || l.grid.y > 65535 || l.grid.z > 65535)
        return "its grid is " + number(l.grid.x) + " x " + number(l.grid.y) + " x " +
               number(l.grid.z) + "; it may be 2147483647 x 65535 x 65535";
    if (l.dynamic_shared > shared_limit(l.kernel))
        return "it asks for " + number(l.dynamic_shared) +
               " bytes of dynamic shared memory; it "
               "may have " +
               number(shared_limit(l.kernel)) +
               " (more by cudaFuncSetAttribute, up "
               "to " +
               number(card().shared_optin) + " on this card)";
    return "";
}

static void refuse(const LaunchInfo &l, const char *kind, const std::string &why,
                   cudaError_t error) {
    Finding f;
    f.kind = kind;
    f.launch = &l;
    f.words = name_of(l) + " was not launched: " + why + ".";
    f.places = {Place("launch", {l.file, l.line}, l.pc)};
    f.detail = "{\"error\":" + quoted(name_of(error)) + "}";
    report(f);
    launch_refused(l, error);
}

static std::string triple(dim3 v) {
    return "[" + std::to_string(v.x) + "," + std::to_string(v.y) + "," + std::to_string(v.z) + "]";
}

static void write_launch(const LaunchInfo &l, double seconds, int error) {
    if (!events_wanted())
        return;
    uint64_t threads =
        static_cast<uint64_t>(l.block.x) * l.block.y * l.block.z * l.grid.x * l.grid.y * l.grid.z;
    write_event(
        "{\"event\":\"launch\",\"launch\":" + std::to_string(l.number) +
        ",\"kernel\":" + quoted(l.kernel) + ",\"file\":" + quoted(l.file) +
        ",\"line\":" + std::to_string(l.line) + ",\"grid\":" + triple(l.grid) +
        ",\"block\":" + triple(l.block) + ",\"static_shared\":" + std::to_string(l.static_shared) +
        ",\"dynamic_shared\":" + std::to_string(l.dynamic_shared) +
        ",\"seconds\":" + std::to_string(seconds) + ",\"threads\":" + std::to_string(threads) +
        ",\"status\":" + quoted(error ? name_of(static_cast<cudaError_t>(error)) : "ok") + "}");
}

double seconds() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/* A process may fork between its launches; the child has the memory, and no workers yet. */
static void mind_forks() {
    static const int done =
        pthread_atfork([] { one_at_a_time.lock(); }, [] { one_at_a_time.unlock(); },
                       [] {
                           pool_after_fork();
                           guard_after_fork();
                           one_at_a_time.unlock();
                       });
    (void)done;
}

static uint64_t resident_limit(const LaunchInfo &l) {
    unsigned threads = l.block.x * l.block.y * l.block.z;
    int fit = blocks_that_fit(threads, l.dynamic_shared);
    return static_cast<uint64_t>(fit > 1 ? fit : 1) * static_cast<uint64_t>(card().sms);
}

static void run_all(LaunchInfo &info, Run run, void *body) {
    Launching launching{&info,
                        run,
                        body,
                        static_cast<uint64_t>(info.grid.x) * info.grid.y * info.grid.z,
                        info.block.x * info.block.y * info.block.z,
                        resident_limit(info)};
    Touch touch;
    double start = seconds();
    watch(&launching);
    observe::launch_begin(info);
    run_on_pool(launching);
    int error = launching.error;
    observe::launch_end(info, error);
    watch(nullptr);
    if (info.static_shared)
        remember_static_shared(info.kernel, info.static_shared);
    write_launch(info, seconds() - start, error);
    if (error)
        kernel_failed(info, static_cast<cudaError_t>(error));
    if (at_end_of_launch)
        at_end_of_launch();
}

/* LAB_ONLY="2:1,1,1:32,1,1" runs launch 2 with this grid and block: a smaller one that shows the
   same mistake is looked for like that. */
static void make_smaller(LaunchInfo &l) {
    static const char *only = getenv("LAB_ONLY");
    unsigned long long number;
    dim3 g, b;
    if (only &&
        sscanf(only, "%llu:%u,%u,%u:%u,%u,%u", &number, &g.x, &g.y, &g.z, &b.x, &b.y, &b.z) == 7 &&
        number == l.number) {
        l.grid = g;
        l.block = b;
    }
}

void execute(LaunchInfo &info, Run run, void *body) {
    mind_forks();
    std::lock_guard<std::mutex> hold(one_at_a_time);
    info.number = ++launches;
    make_smaller(info);
    if (lost())
        return launch_refused(info, lost());
    std::string why = objection(info);
    bool shared = info.dynamic_shared > shared_limit(info.kernel);
    uint64_t blocks = static_cast<uint64_t>(info.grid.x) * info.grid.y * info.grid.z;
    if (!why.empty())
        return refuse(info, "launch-failed", why,
                      shared ? cudaErrorInvalidValue : cudaErrorInvalidConfiguration);
    if (info.cooperative && blocks > resident_limit(info))
        return refuse(info, "launch-failed",
                      "its " + std::to_string(blocks) +
                          " blocks must all be there at once for "
                          "grid.sync(), and " +
                          card().word + " holds " + std::to_string(resident_limit(info)) +
                          " of this size",
                      cudaErrorCooperativeLaunchTooLarge);
    run_all(info, run, body);
}

}

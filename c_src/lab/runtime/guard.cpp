/* guard.cpp: faults in a kernel, and kernels that never end.

   A kernel that touches memory which is not there ends as on a card: the launch fails with
   cudaErrorIllegalAddress, and the program goes on to ask. For that the signal handler leaves the
   fiber at fault for good and goes on with the worker's own stack.

   A kernel that is to end, after the time limit (watcher.cpp) or on Ctrl-C, is interrupted by a
   signal; the handler notes where its thread was and leaves the fiber in the same way. */
#define LAB_RUNTIME
#include "guard.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "memory.h"
#include "report.h"
#include "worker.h"

namespace lab {

__thread int busy;

constexpr int INTERRUPT = SIGURG; /* ignored by default, so nobody else minds it */
constexpr double TELL_EVERY = 5;  /* seconds */
constexpr size_t SIGNAL_STACK = 64 * 1024;

/* The CPU threads that run the launch. */
struct Runner {
    pthread_t thread;
    Runner *next;
};
static std::mutex lock; /* of the list */
static Runner *runners;
static thread_local Runner runner;
std::mutex watching;
std::atomic<Launching *> watched{nullptr};
static struct sigaction fault_before[NSIG];
static bool host_guarded; /* crashes of the host are told: in whole programs */
static const int FAULTS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};

static void *program_counter(void *context) {
    auto *machine = &static_cast<ucontext_t *>(context)->uc_mcontext;
#if defined(__x86_64__)
    return reinterpret_cast<void *>(machine->gregs[REG_RIP]);
#elif defined(__aarch64__)
    return reinterpret_cast<void *>(machine->pc);
#else
    (void)machine;
    return nullptr;
#endif
}

/* The callers of an interrupted fiber, the innermost first, by the chain of frame pointers that code
   for inspection keeps. It is followed only upwards and within the fiber's stack. */
static std::vector<void *> callers(void *context, const Fiber &fiber) {
    std::vector<void *> found;
#if defined(__x86_64__)
    auto *machine = &static_cast<ucontext_t *>(context)->uc_mcontext;
    uintptr_t low = reinterpret_cast<uintptr_t>(fiber.bottom), high = low + stack_bytes;
    uintptr_t at = static_cast<uintptr_t>(machine->gregs[REG_RBP]);
    while (inspecting && at >= low && at + 16 <= high && at % 8 == 0 && found.size() < 32) {
        void **frame = reinterpret_cast<void **>(at);
        found.push_back(frame[1]);
        uintptr_t next = reinterpret_cast<uintptr_t>(frame[0]);
        if (next <= at)
            break;
        at = next;
    }
#else
    (void)context, (void)fiber;
#endif
    return found;
}

/* ---- Faults -------------------------------------------------------------------------------- */

static std::string describe(const void *address, Finding &f) {
    char text[24];
    snprintf(text, sizeof text, "%p", address);
    auto number = reinterpret_cast<uintptr_t>(address);
    if (number < 65536)
        return "a null pointer (address " + std::string(text) + ")";
    Allocation a = nearest_allocation(address);
    std::string words = std::string("address ") + text + ", which belongs to nothing";
    if (!a)
        return words;
    auto past = static_cast<const char *>(address) - a.base - static_cast<int64_t>(a.bytes);
    f.object = {a.name, word_of(a.space), a.bytes, past + static_cast<int64_t>(a.bytes), a.pc,
                a.site};
    if (past >= 0 && past < (1 << 30))
        words += ", " + std::to_string(past) + " bytes past the end of " + std::to_string(a.bytes) +
                 " bytes from " + where(a.site);
    return words;
}

static void report_fault(int signal, const siginfo_t *info, void *pc) {
    const Thread &t = *now;
    Finding f;
    f.launch = t.block->launch;
    f.kind = "out-of-bounds";
    std::string who = "in " + name_of(*f.launch) + ", " + name_of(t);
    if (signal == SIGFPE) {
        f.kind = "launch-failed";
        f.words = who + " divided an integer by zero.";
    } else if (signal == SIGILL) {
        f.kind = "launch-failed";
        f.words = who + " came to an instruction that is none.";
    } else if (in_guard_page(info->si_addr))
        f.words = who + " used more than its " + std::to_string(stack_bytes >> 10) +
                  " KiB of stack: too deep a recursion, or too large a local array.";
    else
        f.words = who + " touched " + describe(info->si_addr, f) + ".";
    if (t.site.file)
        f.words += " It last waited at " + where(t.site) + ".";
    Place place("access", t);
    place.pc = pc;
    place.site = {};
    f.places = {place};
    report(f);
}

/* A pointer of the card, dereferenced on the host, faults with LAB_NO_TOUCH=1 only. */
static bool report_host_touch(const void *address, void *pc) {
    Allocation a = find_allocation(address);
    if (!a)
        return false;
    Finding f;
    f.kind = "device-pointer";
    f.words = "the host touched memory of the card (" + std::to_string(a.bytes) + " bytes from " +
              where(a.site) + "). Copy it with cudaMemcpy first.";
    f.places = {Place("access", Site{}, pc)};
    f.object = {a.name,  word_of(a.space),
                a.bytes, static_cast<const char *>(address) - a.base,
                a.pc,    a.site};
    report(f);
    return true;
}

/* A stack that is used up faults just below its pointer, or just above it. */
static bool used_up_stack(const void *address, const void *context) {
#if defined(__x86_64__)
    auto *machine = &static_cast<const ucontext_t *>(context)->uc_mcontext;
    constexpr uintptr_t near = 1 << 16;
    return reinterpret_cast<uintptr_t>(address) -
               static_cast<uintptr_t>(machine->gregs[REG_RSP]) + near < 2 * near;
#else
    (void)address, (void)context;
    return false;
#endif
}

static std::string crash_words(int signal, const void *address, const void *context, Finding &f) {
    if (signal == SIGFPE)
        return "divided an integer by zero";
    if (signal == SIGILL)
        return "came to an instruction that is none, as after a function that returns nothing";
    if (used_up_stack(address, context))
        return "used up its stack: too deep a recursion, or too large a local array";
    return "touched " + describe(address, f);
}

/* The return addresses of the running thread, the innermost first, as far as the last 64. */
static std::vector<void *> unwound() {
    std::vector<void *> calls;
    auto enter = [](_Unwind_Context *frame, void *list) {
        auto &into = *static_cast<std::vector<void *> *>(list);
        into.push_back(reinterpret_cast<void *>(_Unwind_GetIP(frame)));
        return into.size() < 64 ? _URC_NO_REASON : _URC_END_OF_STACK;
    };
    _Unwind_Backtrace(enter, &calls);
    return calls;
}

/* The host crashed. Its stack is walked by the unwinder, for it may have crashed in a function of
   the C library that was given a bad pointer; whose line it is, Python looks up. */
static void report_crash(int signal, const siginfo_t *info, void *context) {
    char *pc = static_cast<char *>(program_counter(context));
    std::vector<void *> calls = unwound();
    auto at = std::find(calls.begin(), calls.end(), pc); /* what comes before is the handler */
    Finding f;
    f.kind = "host-crash";
    f.words = "the host " + crash_words(signal, info->si_addr, context, f) +
              ", and the program ended.";
    Place place;
    place.role = "crash";
    place.pc = pc + 1; /* others are return addresses, one past the call */
    if (at != calls.end())
        place.stack.assign(at + 1, calls.end());
    f.places = {place};
    report(f);
}

static void fault(int signal, siginfo_t *info, void *context) {
    if (now) {
        report_fault(signal, info, program_counter(context));
        this_worker().fail(signal == SIGFPE || signal == SIGILL ? 719 : 700);
    }
    if (!report_host_touch(info->si_addr, program_counter(context)) && host_guarded)
        report_crash(signal, info, context);
    if (inspecting) {
        stopped = "a crash of the host";
        observe::finished();
    }
    sigaction(signal, &fault_before[signal], nullptr); /* and the instruction faults again */
}

/* ---- Kernels that are to end --------------------------------------------------------------- */

static void report_endless(Launching &launching, const Thread &t, void *context) {
    Finding f;
    f.kind = "never-ends";
    f.launch = launching.info;
    char limit[32];
    snprintf(limit, sizeof limit, "%g", time_limit());
    f.words = name_of(*launching.info) + " was ended: for " + limit +
              " seconds none of its blocks has ended (LAB_TIMEOUT). " + name_of(t) + " was running";
    if (t.site.file)
        f.words += "; it last waited at " + where(t.site);
    f.words += ".";
    Place place("runs", t);
    place.pc = program_counter(context);
    place.stack = callers(context, *this_worker().running());
    place.site = {};
    f.places = {place};
    report(f);
}

/* On a worker: leaves the thread that runs, if the launch is to end. */
static void interrupted(int, siginfo_t *, void *context) {
    Launching *launching = watched;
    if (!now || busy || !launching || !launching->failed())
        return; /* the watcher asks again */
    if (launching->error == 702)
        report_endless(*launching, *now, context);
    this_worker().abandon();
}

/* Also called by a signal handler, so it takes no lock: the list is that of a launch that runs. */
bool stop_kernels(int error) {
    Launching *launching = watched;
    if (!launching)
        return false;
    launching->fail(error);
    for (Runner *each = runners; each; each = each->next)
        pthread_kill(each->thread, INTERRUPT);
    return true;
}

/* ---- Beginning ----------------------------------------------------------------------------- */

/* Before each program's first launch too, for it may have handlers of its own since main began. */
static void install_fault_handlers() {
    struct sigaction action{}, before{};
    action.sa_sigaction = fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (int signal : FAULTS) {
        sigaction(signal, &action, &before);
        if (before.sa_sigaction != fault)
            fault_before[signal] = before;
    }
}

static void install_handlers() {
    install_fault_handlers();
    struct sigaction action{};
    action.sa_sigaction = interrupted;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART;
    sigaction(INTERRUPT, &action, nullptr);
}

/* The handlers need a stack that is not the fiber's, which may be used up. */
static void give_signal_stack() {
    static thread_local bool given = false;
    if (given)
        return;
    given = true;
    void *memory =
        mmap(nullptr, SIGNAL_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t stack{};
    stack.ss_sp = memory;
    stack.ss_size = SIGNAL_STACK;
    sigaltstack(&stack, nullptr);
}

void guard_host() {
    host_guarded = true;
    give_signal_stack();
    install_fault_handlers();
}

Guarded::Guarded(Launching &) {
    give_signal_stack();
    runner.thread = pthread_self();
    std::lock_guard<std::mutex> hold(lock);
    runner.next = runners;
    runners = &runner;
}

Guarded::~Guarded() {
    std::lock_guard<std::mutex> hold(lock);
    for (Runner **at = &runners; *at; at = &(*at)->next)
        if (*at == &runner) {
            *at = runner.next;
            break;
        }
}

void watch(Launching *launching) {
    static bool installed = (install_handlers(), true);
    (void)installed;
    {
        std::lock_guard<std::mutex> hold(watching);
        watched = launching;
    }
    if (launching)
        start_watcher();
}

/* Only the thread that forked is left. */
void guard_after_fork() {
    new (&lock) std::mutex();
    new (&watching) std::mutex();
    runners = nullptr;
    watched = nullptr;
    watcher_after_fork();
}

}

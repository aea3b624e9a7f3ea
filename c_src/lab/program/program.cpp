/* program.cpp: what is different when the lab runs a whole program: printf, assert, Ctrl-C, exit.

   Linked into programs only, not into the plugin: here the names printf, puts, putchar and
   __assert_fail of the C library are taken over. In a kernel they do what CUDA says; on the host
   what C says. Ctrl-C ends a kernel, then the program, with what was found so far. */
#define LAB_RUNTIME
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../runtime/error.h"
#include "../runtime/guard.h"
#include "../runtime/memory.h"
#include "../runtime/print.h"
#include "../runtime/report.h"
#include "../runtime/worker.h"

namespace lab {

static double began = seconds();

/* In inspect mode the observer writes this line, with its counters. */
static void write_end() {
    if (inspecting)
        return observe::finished();
    write_event("{\"event\":\"end\",\"launches\":" + std::to_string(launch_count()) +
                ",\"accesses\":0,\"findings\":" + std::to_string(findings()) +
                ",\"seconds\":" + std::to_string(seconds() - began) +
                ",\"stopped\":" + quoted(stopped) + "}");
}

/* Once, when the program ends, whichever way. */
static void finish(int status) {
    static std::atomic<bool> finished{false};
    if (finished.exchange(true))
        return;
    if (!*stopped) {
        look_for_ignored_errors(status);
        look_for_lost_output();
        if (inspecting)
            report_leaks(status);
        if (!lost())
            observe::ended(status);
    }
    write_end();
}

/* ---- Ctrl-C, and SIGTERM from whoever limits the program's time ------------------------------ */

static std::atomic<int> ending{0}; /* by which signal */

static void end_by_signal() {
    stopped = ending == SIGINT ? "interrupted" : "time limit";
    flush_output();
    fflush(stdout);
    finish(0);
    if (!inspecting)
        fprintf(stderr, "lab: %s after %llu launches\n", stopped,
                static_cast<unsigned long long>(launch_count()));
    _exit(128 + ending);
}

/* A kernel is ended first; then the program ends where it launched it. */
static void on_signal(int signal) {
    int none = 0;
    if (!ending.compare_exchange_strong(none, signal))
        _exit(128 + ending);
    if (!stop_kernels(STOPPED))
        end_by_signal();
}

static void after_launch() {
    if (ending)
        end_by_signal();
}

static const bool begun = [] {
    on_exit([](int status, void *) { finish(status); }, nullptr);
    at_end_of_launch = after_launch;
    guard_host();
    struct sigaction action {};
    action.sa_handler = on_signal;
    action.sa_flags = SA_NODEFER;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    return true;
}();

static void fail_assertion(const char *expression, const char *file, unsigned line,
                           const char *function) {
    Thread &t = *now;
    t.site = {file, static_cast<int>(line)};
    t.pc = __builtin_return_address(0);
    Finding f;
    f.kind = "assert";
    f.launch = t.block->launch;
    f.words = "in " + name_of(*f.launch) + ", " + name_of(t) + " failed assert(" + expression +
              ") at " + where(t.site) + " in " + function + ".";
    f.places = {Place("assert", t)};
    report(f);
    this_worker().fail(710);
}

}

using namespace lab;

extern "C" {

int vprintf(const char *format, va_list arguments) {
    return now ? print_later(format, arguments) : vfprintf(stdout, format, arguments);
}

int printf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vprintf(format, arguments);
    va_end(arguments);
    return n;
}

int __printf_chk(int, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vprintf(format, arguments);
    va_end(arguments);
    return n;
}

/* The compiler turns printf("text\n") into puts, and printf("c") into putchar. */
int puts(const char *text) { return printf("%s\n", text); }
int putchar(int c) { return printf("%c", c); }

[[noreturn]] void __assert_fail(const char *expression, const char *file, unsigned line,
                                const char *function) noexcept {
    if (now)
        fail_assertion(expression, file, line, function);
    fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line, function, expression);
    abort();
}
}

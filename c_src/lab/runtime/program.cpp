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

#include "error.h"
#include "guard.h"
#include "memory.h"
#include "print.h"
#include "report.h"
#include "worker.h"

namespace lab {

static double began = seconds();

static void write_end(const char *stopped) {
    write_event("{\"event\":\"end\",\"launches\":" + std::to_string(launch_count()) +
                ",\"findings\":" + std::to_string(findings()) + ",\"seconds\":" +
                std::to_string(seconds() - began) + ",\"stopped\":" + quoted(stopped) + "}");
}

/* Once, when the program ends, whichever way. */
static void finish(int status, const char *stopped) {
    static std::atomic<bool> finished{false};
    if (finished.exchange(true))
        return;
    if (!*stopped) {
        look_for_ignored_errors(status);
        look_for_lost_output();
        if (inspecting)
            report_leaks();
    }
    observe::finished();
    write_end(stopped);
}

/* The first Ctrl-C ends the kernel; the program then ends where it launched (see interrupted()). */
static std::atomic<bool> stopping{false};

static void end_by_interrupt() {
    flush_output();
    fflush(stdout);
    finish(130, "Ctrl-C");
    if (!inspecting)
        fprintf(stderr, "lab: ended by Ctrl-C after %llu launches\n",
                static_cast<unsigned long long>(launch_count()));
    _exit(130);
}

static void on_interrupt(int) {
    if (stopping.exchange(true))
        _exit(130);
    if (!stop_kernels(STOPPED))
        end_by_interrupt();
}

/* After each launch: a kernel that Ctrl-C has ended ends the program. */
static void after_launch() {
    if (stopping)
        end_by_interrupt();
}

static const bool begun = [] {
    on_exit([](int status, void *) { finish(status, ""); }, nullptr);
    at_end_of_launch = after_launch;
    struct sigaction action{};
    action.sa_handler = on_interrupt;
    sigaction(SIGINT, &action, nullptr);
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

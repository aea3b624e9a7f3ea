/* print.cpp: printf in a kernel.

   A card writes into a buffer that the host prints when it waits: at a synchronisation or a copy,
   never at the end of the program. So a program that does not wait prints nothing, here too, and
   is told why. The order across threads is whatever the scheduler made it. */
#define LAB_RUNTIME
#include "print.h"

#include <stdio.h>

#include <mutex>
#include <string>

#include "guard.h"
#include "report.h"

namespace lab {

static std::mutex lock;
static std::string &held = *new std::string(); /* outlives the exit */

int print_later(const char *format, va_list arguments) {
    char text[1024];
    int n = vsnprintf(text, sizeof text, format, arguments);
    if (n < 0)
        return -1;
    if (n >= static_cast<int>(sizeof text))
        n = sizeof text - 1;
    Busy holding;
    std::lock_guard<std::mutex> hold(lock);
    held.append(text, static_cast<size_t>(n));
    return n;
}

void flush_output() {
    std::lock_guard<std::mutex> hold(lock);
    fwrite(held.data(), 1, held.size(), stdout);
    held.clear();
}

void look_for_lost_output() {
    if (held.empty())
        return;
    size_t lines = 0;
    for (char c : held)
        lines += c == '\n';
    held.clear();
    note(std::to_string(lines) +
         " line(s) that kernels printed never appeared: the program ended "
         "without waiting for them. Call cudaDeviceSynchronize() after the launch.");
}

}

/* launch.h: k<<<grid, block, shared, stream>>>(x, y) as the source pass writes it.

       ::lab::Launch("k", file, line, grid, block, shared, stream)(
           [&](auto &...lab_a) LAB_QUIET { k(lab_a...); }, x, y);

   The arguments are copied once, here; each thread passes its own copies to the kernel. run() is
   what a fiber does: it is compiled here, beside the kernel, so that the kernel can be inlined. */
#ifndef LAB_LAUNCH_H
#define LAB_LAUNCH_H

#include "../../runtime/thread.h"

namespace lab {

/* NULL, 0 and nullptr as an argument: becomes whatever the kernel wants there. */
struct Null {
    template <class T> constexpr operator T *() const { return nullptr; }
    constexpr operator int() const { return 0; }
};

using Run = void (*)(void *body, Block &block);

/* Runs the kernel; its error is told later, as on a card. Bad configurations are refused here. */
void execute(LaunchInfo &info, Run run, void *body);

template <class Body> LAB_QUIET void run(void *body, Block &block) {
    while (Thread *t = take(block)) {
        (*static_cast<Body *>(body))();
        give(block, t);
    }
}

struct Launch {
    LaunchInfo info;

    LAB_OWN Launch(const char *kernel, const char *file, int line, dim3 grid, dim3 block,
                   size_t shared = 0, void *stream = nullptr)
        : info{kernel, file, line, grid, block, shared, stream, false, 0, 0, nullptr} {}

    template <class Kernel, class... Arguments>
    LAB_QUIET __attribute__((noinline)) void operator()(Kernel kernel, Arguments... arguments) {
        auto body = [&]() LAB_QUIET { kernel(arguments...); };
        info.pc = __builtin_return_address(0);
        execute(info, run<decltype(body)>, &body);
    }
};

}

#endif

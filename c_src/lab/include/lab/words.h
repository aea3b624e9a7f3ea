/* words.h: the words of CUDA that are no C++, and the few of our own that every header uses.

   LAB_INSPECT is defined for the program and for the runtime alike when accesses are watched. */
#ifndef LAB_WORDS_H
#define LAB_WORDS_H

#include <stddef.h>
#include <stdint.h>

#define __global__
#define __device__
#define __host__
#define __constant__
#define __managed__
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define LAB_NOINLINE __attribute__((noinline)) /* what the source pass makes of __noinline__ */
#define __launch_bounds__(...)
#define __maxnreg__(...)
#define __cluster_dims__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __attribute__((aligned(n)))
#define CUDARTAPI
#define CUDART_CB

/* Part of the program: inlined, and instrumented with the function that it is inlined into. */
#define LAB_INLINE inline __attribute__((always_inline))

/* Part of the lab: its accesses are not the program's, so they are not watched. */
#if defined(__SANITIZE_THREAD__)
#define LAB_QUIET __attribute__((no_sanitize("thread"), no_sanitize_coverage))
#else
#define LAB_QUIET
#endif

/* A small function of the lab. Instrumented code cannot inline it, other code always does. */
#if defined(__SANITIZE_THREAD__)
#define LAB_OWN inline LAB_QUIET __attribute__((noinline))
#else
#define LAB_OWN inline __attribute__((always_inline))
#endif

namespace lab {

/* A line of the program: the default argument of what can wait, filled in where it is called. */
struct Site {
    const char *file;
    int line;

    static constexpr Site here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) {
        return {file, line};
    }
};

}

/* The last parameter of a function that wants to know its caller's line. */
#define LAB_AT ::lab::Site site = ::lab::Site::here()

#endif

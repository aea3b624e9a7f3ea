/* index.h: who a thread is: threadIdx, blockIdx, blockDim, gridDim, warpSize.

   They are variables of the worker that runs the thread, not macros, so that a host function may
   have a gridDim of its own. The scheduler writes threadIdx whenever another thread goes on.
   In inspect mode the program sees them as constants: the compiler does not instrument those, if
   their type has no constructor. So blockDim and gridDim are a uint3 here, which becomes a dim3. */
#ifndef LAB_INDEX_H
#define LAB_INDEX_H

#include "lab/vector.h"

#if defined(LAB_INSPECT) && !defined(LAB_RUNTIME)
#define LAB_INDEX extern const __thread
#else
#define LAB_INDEX extern __thread
#endif

LAB_INDEX uint3 threadIdx __attribute__((tls_model("initial-exec")));
LAB_INDEX uint3 blockIdx __attribute__((tls_model("initial-exec")));
LAB_INDEX uint3 blockDim __attribute__((tls_model("initial-exec")));
LAB_INDEX uint3 gridDim __attribute__((tls_model("initial-exec")));

constexpr int warpSize = 32;

#endif

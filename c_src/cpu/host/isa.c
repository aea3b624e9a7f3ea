/* isa.c: which of the compiled instruction sets this machine can run.
   What each name stands for is said a second time by the compiler flags in
   plugins/etude-cpu/CMakeLists.txt. */
#include <string.h>

#include "host.h"

int etude_cpu_runs(const char *isa)
{
    if (!strcmp(isa, "portable"))
        return 1;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    if (!strcmp(isa, "avx2"))
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (!strcmp(isa, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return 0;
}

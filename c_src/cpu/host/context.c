/* context.c: puts scratch memory and the thread pool together into the context that kernels get,
   and sets up malloc. */
#include "host.h"

#ifdef __GLIBC__ /* said by any header of the library, so after the first of them */
#include <malloc.h>
#endif

etude_context *etude_host(void)
{
    static _Thread_local etude_context mine = {.version = ETUDE_INTERFACE,
                                               .parallel_for = etude_pool_run,
                                               .scratch = etude_thread_scratch,
                                               .keep = etude_keep_in_record};
    mine.threads = etude_get_threads();
    return &mine;
}

void etude_host_start(int32_t threads)
{
    etude_scratch_start();
    etude_pool_start(threads);
#ifdef __GLIBC__
    /* Arrays come and go with every op. By default malloc maps each one of 128 KB or more anew and
       gives it back, so that every fresh output pays a page fault per 4 KB, many times the cost of
       the arithmetic. Keep such memory in the heap, and keep the heap's top. */
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the largest that glibc accepts */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

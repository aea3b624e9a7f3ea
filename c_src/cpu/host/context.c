/* context.c: the context of the calling thread, its scratch memory, and the settings of malloc. */
#include <pthread.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "host.h"

static _Thread_local etude_thread *mine;
static pthread_key_t mine_key; /* only for its destructor */

static void free_thread(void *p)
{
    etude_thread *t = p;
    free(t->buffer[0]);
    free(t->buffer[1]);
    free(t);
}

/* Of the thread that calls, not of ctx: a worker has its own, also inside a body. */
static void *scratch(etude_context *ctx, size_t bytes)
{
    etude_thread *t = etude_this_thread();
    (void)ctx;
    if (bytes > t->bytes[t->level]) {
        free(t->buffer[t->level]);
        t->bytes[t->level] = (bytes + 63) / 64 * 64;
        t->buffer[t->level] = aligned_alloc(64, t->bytes[t->level]);
        if (!t->buffer[t->level])
            t->bytes[t->level] = 0;
    }
    return t->buffer[t->level];
}

etude_thread *etude_this_thread(void)
{
    if (!mine) {
        mine = calloc(1, sizeof *mine);
        if (!mine)
            abort(); /* not even a few hundred bytes are left */
        pthread_setspecific(mine_key, mine);
        mine->context.version = ETUDE_INTERFACE;
        mine->context.parallel_for = etude_pool_run;
        mine->context.scratch = scratch;
    }
    return mine;
}

etude_context *etude_host(void)
{
    etude_context *ctx = &etude_this_thread()->context;
    ctx->threads = etude_get_threads();
    return ctx;
}

void etude_host_start(int32_t threads)
{
    pthread_key_create(&mine_key, free_thread);
    etude_pool_start(threads);
#ifdef __GLIBC__
    /* Arrays come and go with every op. By default malloc maps each one of 128 KB or more anew and
       gives it back, so that every fresh output pays a page fault per 4 KB, many times the cost of
       the arithmetic. Keep such memory in the heap, and keep the heap's top. */
    mallopt(M_MMAP_THRESHOLD, 32 << 20); /* the largest that glibc accepts */
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

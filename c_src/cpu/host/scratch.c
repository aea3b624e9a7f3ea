/* scratch.c: what each thread has of its own: its scratch memory, and whether it is inside a body.
   It knows nothing of the pool (threads.c) and nothing of the context (context.c), which use it. */
#include <pthread.h>
#include <stdlib.h>

#include "host.h"

static _Thread_local etude_thread *mine;
static pthread_key_t mine_key; /* only for its destructor */

static void free_thread(void *p)
{
    etude_thread *t = p;
    for (int level = 0; level < ETUDE_LEVELS; level++)
        free(t->buffer[level]);
    free(t);
}

etude_thread *etude_this_thread(void)
{
    if (!mine) {
        mine = calloc(1, sizeof *mine);
        if (!mine)
            abort(); /* not even a few dozen bytes are left */
        pthread_setspecific(mine_key, mine);
    }
    return mine;
}

/* The memory belongs to the thread that calls, not to ctx: inside a body each worker uses its own,
   though all of them were handed the caller's ctx. */
void *etude_thread_scratch(etude_context *ctx, size_t bytes)
{
    etude_thread *t = etude_this_thread();
    (void)ctx;
    if (t->level >= ETUDE_LEVELS)
        return NULL; /* no kernel nests so deep */
    if (bytes > t->bytes[t->level]) {
        free(t->buffer[t->level]);
        t->bytes[t->level] = (bytes + 63) / 64 * 64;
        t->buffer[t->level] = aligned_alloc(64, t->bytes[t->level]);
        if (!t->buffer[t->level])
            t->bytes[t->level] = 0;
    }
    return t->buffer[t->level];
}

void etude_scratch_start(void)
{
    pthread_key_create(&mine_key, free_thread);
}

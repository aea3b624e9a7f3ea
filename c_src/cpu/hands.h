/* hands.h: the tasks of a call dealt out to threads. A thread has neighbouring tasks, the same ones
   in every call of as many tasks, so what a layer has written is often read on the same core; then
   it helps with what is left of the others'. So does the pool, c_src/cpu/host/threads.c, with its
   chunks. */
#ifndef ETUDE_HANDS_H
#define ETUDE_HANDS_H

#include <stdatomic.h>

#include "kernel.h"

/* The tasks of one thread: those from next to end are left. */
typedef struct {
    _Alignas(64) atomic_llong next;
    int64_t end;
} hand;

static inline void deal(hand *hands, int64_t count, int64_t tasks)
{
    for (int64_t i = 0; i < count; i++) {
        atomic_init(&hands[i].next, tasks * i / count);
        hands[i].end = tasks * (i + 1) / count;
    }
}

/* The next task for thread `mine`, or -1 if none is left. *empty counts the hands, from its own on,
   in which it found none; it begins as 0. */
static inline int64_t next_task(hand *hands, int64_t count, int64_t mine, int64_t *empty)
{
    for (; *empty < count; ++*empty) {
        hand *from = &hands[(mine + *empty) % count];
        int64_t task = atomic_fetch_add(&from->next, 1);
        if (task < from->end)
            return task;
    }
    return -1;
}

#endif

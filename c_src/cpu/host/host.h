/* host.h: what the glue offers to kernels through etude_context, and to Python through cffi.
   The files of this folder are linked into the glue extension; kernels never see them. */
#ifndef ETUDE_HOST_H
#define ETUDE_HOST_H

#include "etude.h"

/* ---- To the glue ----------------------------------------------------------------------------- */

/* The calling thread's context: thread pool and scratch filled in. */
etude_context *etude_host(void);

/* Once, as the glue is loaded. */
void etude_host_start(int32_t threads);

void etude_set_threads(int32_t threads); /* at least 1; counts the calling thread */
int32_t etude_get_threads(void);

/* Whether this machine runs code compiled for "portable", "avx2" or "avx512". */
int etude_cpu_runs(const char *isa);

/* ---- Between the files of this folder: each uses those above it, and none below -------------- */

/* scratch.c */
enum { ETUDE_LEVELS = 6 }; /* a body in a body in a body, and as many again in a group */
typedef struct {
    int level; /* how many bodies of parallel_for this thread is in: which buffer is in use */
    void *buffer[ETUDE_LEVELS];
    size_t bytes[ETUDE_LEVELS];
} etude_thread;

etude_thread *etude_this_thread(void);
void *etude_thread_scratch(etude_context *ctx, size_t bytes);
void etude_scratch_start(void);

/* threads.c */
void etude_pool_start(int32_t threads);
void etude_pool_run(etude_context *ctx, etude_body *body, void *arg, int64_t n, int64_t grain);

/* keep.c */
etude_kept *etude_keep_in_record(etude_context *ctx, const void *of, size_t bytes);

/* context.c makes a context of these; it is what the glue calls. */

#endif

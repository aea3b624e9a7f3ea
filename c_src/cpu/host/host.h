/* host.h: what the glue offers to kernels through etude_context, and to Python through cffi.
   The files of this folder are linked into the glue extension; kernels never see them. */
#ifndef ETUDE_HOST_H
#define ETUDE_HOST_H

#include "etude.h"

/* The calling thread's context: thread pool and scratch filled in. */
etude_context *etude_host(void);

/* Once, as the glue is loaded; fork handlers and the settings of malloc. */
void etude_host_start(int32_t threads);

void etude_set_threads(int32_t threads); /* at least 1; counts the calling thread */
int32_t etude_get_threads(void);

/* Whether this machine runs code compiled for "portable", "avx2" or "avx512". */
int etude_cpu_runs(const char *isa);

#endif

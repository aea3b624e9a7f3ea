/* parts.h: what the files of this folder use of each other. */
#ifndef ETUDE_PARTS_H
#define ETUDE_PARTS_H

#include <cuda_runtime.h>

#include "host.h"

/* 0 for success; otherwise 1, with `what` and what CUDA said in the error text of this thread. */
int etude_told(const char *what, cudaError_t status);

/* The stream that all threads share until they use another. */
cudaStream_t etude_common_stream(void);

/* Whether this process is the one that started the device. A child of fork() is not, and CUDA has
   nothing for it. */
int etude_started_here(void);

#endif

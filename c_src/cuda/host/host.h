/* host.h: what stands between Python and a device, for one process: memory, streams, copies.

   One text for two libraries. nvcc links it with CUDA's runtime into libetude_cuda.so, and g++ with
   the lab's runtime into libetude_gpu_lab.so; nothing here knows which it is. Python calls it
   through cffi (plugins/etude-cuda/src/etude_cuda/device.py), which reads the part between the two
   marks. On the CPU the counterpart is c_src/cpu/host.

   A function that can fail returns 0, or puts what CUDA said into etude_device_error(). */
#ifndef ETUDE_HOST_H
#define ETUDE_HOST_H

#include "etude.h"

#ifdef __cplusplus
extern "C" {
#endif

/* cffi begins */
typedef struct etude_device_facts {
    char name[256];
    int32_t major, minor; /* compute capability: sm_80 is 8, 0 */
    int32_t processors;
    int64_t memory; /* bytes */
    int32_t driver; /* the newest CUDA that the driver knows, 13000 for 13.0; 0 without a driver */
    int32_t runtime; /* the CUDA that the library is built with */
    int32_t cards;
} etude_device_facts;

/* ---- start.cpp: nothing of CUDA is touched before one of these is called */
int etude_device_look(etude_device_facts *facts); /* what there is; fills what it can find out */
int etude_device_start(void);                     /* once per process; checks that kernels run */
int etude_device_alive(void);                     /* fails in a child of the process that did */
const char *etude_device_error(void);             /* of the calling thread */

/* ---- context.cpp */
void *etude_device_context(void); /* etude_context of the calling thread; NULL: not alive */

/* ---- memory.cpp: stream-ordered. A buffer is freed in the order of the stream it is given. */
void *etude_device_malloc(size_t bytes, void *stream); /* NULL: no memory */
void etude_device_free(void *buffer, void *stream);
int etude_device_upload(void *to, const void *from, size_t bytes, void *stream); /* does not wait */
int etude_device_download(void *to, const void *from, size_t bytes, void *stream); /* waits */
int etude_device_fetch(void *pinned, const void *from, size_t bytes, void *stream); /* does not */
void *etude_pinned_malloc(size_t bytes);
void etude_pinned_free(void *block);

/* ---- streams.cpp */
void *etude_stream_make(void); /* NULL if it cannot */
void *etude_stream_now(void);               /* that of the calling thread */
void etude_stream_use(void *stream);        /* from now on, in this thread; NULL: the common one */
int etude_stream_wait(void *stream);        /* until it has done all that it was given */
int etude_stream_follow(void *after, void *before); /* what comes waits for what was given there */
/* cffi ends */

#ifdef __cplusplus
}
#endif
#endif

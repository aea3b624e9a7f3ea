/* streams.cpp: the queues that work is given to.

   All threads share one stream until they use another, so that what one thread made another can
   read: the order of the calls is the order of the work. It is not CUDA's default stream, which
   waits for all others. */
#include <mutex>

#include "parts.h"

static thread_local cudaStream_t mine; /* NULL: the common one */

cudaStream_t etude_common_stream(void)
{
    static std::mutex once;
    static cudaStream_t common;
    std::lock_guard<std::mutex> hold(once);
    if (!common)
        common = (cudaStream_t)etude_stream_make();
    return common;
}

void *etude_stream_make(void)
{
    cudaStream_t stream = nullptr;
    if (etude_told("cudaStreamCreate", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking)))
        return nullptr;
    return (void *)stream;
}

void *etude_stream_now(void)
{
    return (void *)(mine ? mine : etude_common_stream());
}

void etude_stream_use(void *stream)
{
    mine = (cudaStream_t)stream;
}

int etude_stream_wait(void *stream)
{
    return etude_told("cudaStreamSynchronize", cudaStreamSynchronize((cudaStream_t)stream));
}

int etude_stream_follow(void *after, void *before)
{
    if (after == before)
        return 0;
    cudaEvent_t reached;
    if (etude_told("cudaEventCreate", cudaEventCreateWithFlags(&reached, cudaEventDisableTiming)))
        return 1;
    int failed = etude_told("cudaEventRecord", cudaEventRecord(reached, (cudaStream_t)before)) ||
                 etude_told("cudaStreamWaitEvent",
                            cudaStreamWaitEvent((cudaStream_t)after, reached, 0));
    cudaEventDestroy(reached); /* CUDA keeps it for as long as somebody waits for it */
    return failed;
}

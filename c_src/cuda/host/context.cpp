/* context.cpp: the context that kernels get: a stream, and scratch memory of the device.

   Scratch is one buffer for each thread, which grows. It is freed and allocated anew in the order
   of the stream, so work that was launched before keeps the old one until it is done. */
#include "parts.h"

namespace {

struct Scratch {
    void *buffer = nullptr;
    size_t bytes = 0;
    cudaStream_t stream = nullptr;

    void release()
    {
        if (buffer && etude_started_here())
            cudaFreeAsync(buffer, stream);
        buffer = nullptr;
        bytes = 0;
    }

    ~Scratch() /* when the thread ends */
    {
        release();
    }
};

thread_local Scratch scratch_of;

void *scratch(etude_context *ctx, size_t bytes)
{
    cudaStream_t stream = (cudaStream_t)ctx->stream;
    Scratch &s = scratch_of;
    if (s.stream != stream)
        s.release();
    if (bytes <= s.bytes && s.buffer)
        return s.buffer;
    s.release();
    size_t room = (bytes + 4095) / 4096 * 4096;
    if (room == 0)
        room = 4096;
    if (cudaMallocAsync(&s.buffer, room, stream) != cudaSuccess) {
        cudaGetLastError();
        s.buffer = nullptr;
        return nullptr;
    }
    s.bytes = room;
    s.stream = stream;
    return s.buffer;
}

} // namespace

void *etude_device_context(void)
{
    static thread_local etude_context mine = {};
    if (etude_device_alive())
        return nullptr;
    mine.version = ETUDE_INTERFACE;
    mine.threads = 1;
    mine.scratch = scratch;
    mine.stream = etude_stream_now();
    return &mine;
}

/* memory.cpp: buffers of the device, and the copies between it and the host.

   Buffers come from CUDA's stream-ordered allocator, which is told to keep what is freed: an
   allocation then costs about a microsecond, and none waits for the device.

   An upload is handed over in pinned memory: the caller's bytes are copied there at once, so that
   the caller may change them, and the device fetches them when the stream comes to it. Pinned
   blocks are used again when the copy out of them is done, which an event tells. */
#include <cstring>
#include <mutex>
#include <vector>

#include "parts.h"

namespace {

enum : size_t { LEAST = 4096, LARGEST = 64u << 20 }; /* bytes of a pinned block */

struct Block {
    void *memory;
    size_t bytes;
    cudaEvent_t done;
};

/* Blocks that wait for their copy, and those that are free. */
struct Pinned {
    std::mutex hold;
    std::vector<Block> busy, idle;

    bool take(size_t bytes, Block &found)
    {
        std::lock_guard<std::mutex> held(hold);
        for (size_t i = 0; i < busy.size();) {
            if (cudaEventQuery(busy[i].done) == cudaSuccess) {
                idle.push_back(busy[i]);
                busy.erase(busy.begin() + (long)i);
            } else {
                i++;
            }
        }
        cudaGetLastError(); /* an event that has not been reached is no error */
        for (size_t i = 0; i < idle.size(); i++) {
            if (idle[i].bytes >= bytes && idle[i].bytes <= 4 * bytes + LEAST) {
                found = idle[i];
                idle.erase(idle.begin() + (long)i);
                return true;
            }
        }
        size_t room = LEAST;
        while (room < bytes)
            room *= 2;
        found = {nullptr, room, nullptr};
        if (cudaMallocHost(&found.memory, room) != cudaSuccess ||
            cudaEventCreateWithFlags(&found.done, cudaEventDisableTiming) != cudaSuccess) {
            cudaGetLastError();
            return false;
        }
        return true;
    }

    void give(const Block &block)
    {
        std::lock_guard<std::mutex> held(hold);
        busy.push_back(block);
    }
};

Pinned &pinned()
{
    static Pinned *all = new Pinned; /* never destroyed: CUDA may be gone before it */
    return *all;
}

} // namespace

void *etude_device_malloc(size_t bytes, void *stream)
{
    static std::once_flag once;
    std::call_once(once, [] {
        cudaMemPool_t pool;
        uint64_t all = UINT64_MAX; /* keep what is freed: no thread gives memory back in between */
        if (cudaDeviceGetDefaultMemPool(&pool, 0) == cudaSuccess)
            cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all);
        cudaGetLastError();
    });
    if (etude_device_alive())
        return nullptr;
    void *buffer = nullptr;
    size_t room = bytes ? bytes : 1; /* an address of its own, even for nothing */
    if (etude_told("cudaMallocAsync", cudaMallocAsync(&buffer, room, (cudaStream_t)stream)))
        return nullptr;
    return buffer;
}

void etude_device_free(void *buffer, void *stream)
{
    if (!etude_started_here())
        return; /* a forked child: the buffer is its parent's */
    etude_told("cudaFreeAsync", cudaFreeAsync(buffer, (cudaStream_t)stream));
}

int etude_device_upload(void *to, const void *from, size_t bytes, void *stream)
{
    if (bytes == 0)
        return 0;
    Block block;
    if (bytes > LARGEST || !pinned().take(bytes, block)) /* then CUDA waits until it has it */
        return etude_told("cudaMemcpyAsync", cudaMemcpyAsync(to, from, bytes,
                          cudaMemcpyHostToDevice, (cudaStream_t)stream)) ||
               etude_stream_wait(stream);
    memcpy(block.memory, from, bytes);
    int failed = etude_told("cudaMemcpyAsync", cudaMemcpyAsync(to, block.memory, bytes,
                            cudaMemcpyHostToDevice, (cudaStream_t)stream)) ||
                 etude_told("cudaEventRecord", cudaEventRecord(block.done, (cudaStream_t)stream));
    pinned().give(block);
    return failed;
}

int etude_device_fetch(void *pinned, const void *from, size_t bytes, void *stream)
{
    if (bytes == 0)
        return 0;
    return etude_told("cudaMemcpyAsync", cudaMemcpyAsync(pinned, from, bytes,
                      cudaMemcpyDeviceToHost, (cudaStream_t)stream));
}

int etude_device_download(void *to, const void *from, size_t bytes, void *stream)
{
    return etude_device_fetch(to, from, bytes, stream) || etude_stream_wait(stream);
}

void *etude_pinned_malloc(size_t bytes)
{
    void *block = nullptr;
    return etude_told("cudaMallocHost", cudaMallocHost(&block, bytes ? bytes : 1)) ? nullptr : block;
}

void etude_pinned_free(void *block)
{
    if (etude_started_here())
        cudaFreeHost(block);
}

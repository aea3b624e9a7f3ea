/* start.cpp: finds the device, says what is missing, and starts it once per process. */
#include <cstdio>
#include <cstring>
#include <mutex>
#include <unistd.h>

#include "parts.h"

static thread_local char words[512];
static pid_t owner; /* the process that started the device; 0: nobody has */

const char *etude_device_error(void)
{
    return words;
}

int etude_told(const char *what, cudaError_t status)
{
    if (status == cudaSuccess)
        return 0;
    cudaGetLastError(); /* read, so that the next call is not blamed for it */
    snprintf(words, sizeof words, "%s: %s (%s)", what, cudaGetErrorString(status),
             cudaGetErrorName(status));
    return 1;
}

int etude_started_here(void)
{
    return owner == getpid();
}

int etude_device_alive(void)
{
    if (etude_started_here())
        return 0;
    snprintf(words, sizeof words, "this process was forked from one that used the device, which "
             "CUDA does not survive; start processes with spawn, or fork before the first use");
    return 1;
}

int etude_device_look(etude_device_facts *facts)
{
    memset(facts, 0, sizeof *facts);
    int version = 0, count = 0;
    if (etude_told("cudaRuntimeGetVersion", cudaRuntimeGetVersion(&version)))
        return 1;
    facts->runtime = version;
    version = 0;
    if (etude_told("cudaDriverGetVersion", cudaDriverGetVersion(&version)))
        return 1;
    facts->driver = version;
    if (etude_told("cudaGetDeviceCount", cudaGetDeviceCount(&count)))
        return 1;
    facts->cards = count;
    if (count == 0)
        return 0;
    cudaDeviceProp card;
    if (etude_told("cudaGetDeviceProperties", cudaGetDeviceProperties(&card, 0)))
        return 1;
    snprintf(facts->name, sizeof facts->name, "%s", card.name);
    facts->major = card.major;
    facts->minor = card.minor;
    facts->processors = card.multiProcessorCount;
    facts->memory = (int64_t)card.totalGlobalMem;
    return 0;
}

int etude_device_start(void)
{
    static std::mutex once;
    std::lock_guard<std::mutex> hold(once);
    if (etude_started_here())
        return 0;
    if (owner)
        return etude_device_alive();
    if (etude_told("cudaSetDevice", cudaSetDevice(0)) || etude_told("cudaFree", cudaFree(nullptr)))
        return 1; /* freeing nothing starts the driver, and does no more */
    owner = getpid();
    return etude_common_stream() == nullptr;
}

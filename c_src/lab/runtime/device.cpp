/* device.cpp: the cards that the lab can stand for, and what a program asks about them.

   Sources: the CUDA C++ Programming Guide, "Compute Capabilities" (limits of threads, blocks and
   shared memory per SM), and NVIDIA's architecture papers of Turing, Ampere and Hopper (SMs,
   clocks, L2, width and clock of the memory). A100 is the one of 40 GB, H100 that on SXM5. */
#define LAB_RUNTIME
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "lab/device.h"
#include "print.h"
#include "report.h"

namespace lab {

static const Card CARDS[] = {
    {"T4", "Tesla T4", 7, 5, 40, 15ul << 30, 1024, 16, 64 << 10, 64 << 10, 4 << 20, 256, 5001000,
     1590000},
    {"A100", "NVIDIA A100-SXM4-40GB", 8, 0, 108, 40ul << 30, 2048, 32, 164 << 10, 163 << 10,
     40 << 20, 5120, 1215000, 1410000},
    {"H100", "NVIDIA H100 80GB HBM3", 9, 0, 132, 80ul << 30, 2048, 32, 228 << 10, 227 << 10,
     50 << 20, 5120, 2619000, 1980000},
};

const Card &card() {
    static const Card &chosen = [&]() -> const Card & {
        const char *word = getenv("LAB_CARD");
        if (!word || !*word)
            return CARDS[1];
        for (const Card &c : CARDS)
            if (strcasecmp(c.word, word) == 0)
                return c;
        fprintf(stderr, "lab: LAB_CARD=%s is no card that the lab knows. It knows", word);
        for (const Card &c : CARDS)
            fprintf(stderr, " %s", c.word);
        fprintf(stderr, ".\n");
        exit(2);
    }();
    return chosen;
}

static size_t reserved() { return card().major >= 8 ? SHARED_RESERVED : 0; }

int blocks_that_fit(unsigned threads, size_t shared) {
    const Card &c = card();
    unsigned whole_warps = (threads + 31) / 32 * 32;
    if (threads == 0 || threads > THREAD_LIMIT || shared > c.shared_optin)
        return 0;
    int fit = c.threads_per_sm / static_cast<int>(whole_warps);
    size_t each = (shared + 127) / 128 * 128 + reserved();
    if (each && static_cast<size_t>(fit) > c.shared_per_sm / each)
        fit = static_cast<int>(c.shared_per_sm / each);
    return fit < c.blocks_per_sm ? fit : c.blocks_per_sm;
}

static cudaDeviceProp properties() {
    const Card &c = card();
    cudaDeviceProp p{};
    snprintf(p.name, sizeof p.name, "%s (etude lab)", c.name);
    p.totalGlobalMem = c.memory;
    p.sharedMemPerBlock = SHARED_LIMIT;
    p.regsPerBlock = p.regsPerMultiprocessor = REGISTERS_PER_SM;
    p.warpSize = 32;
    p.memPitch = 0x7fffffff;
    p.maxThreadsPerBlock = THREAD_LIMIT;
    p.maxThreadsDim[0] = p.maxThreadsDim[1] = 1024;
    p.maxThreadsDim[2] = 64;
    p.maxGridSize[0] = 0x7fffffff;
    p.maxGridSize[1] = p.maxGridSize[2] = 65535;
    p.totalConstMem = 65536;
    p.major = c.major;
    p.minor = c.minor;
    p.textureAlignment = 512;
    p.texturePitchAlignment = 32;
    p.multiProcessorCount = c.sms;
    p.canMapHostMemory = p.concurrentKernels = p.ECCEnabled = p.unifiedAddressing = 1;
    p.asyncEngineCount = 3;
    p.memoryBusWidth = c.bus_bits;
    p.l2CacheSize = c.l2;
    p.maxThreadsPerMultiProcessor = c.threads_per_sm;
    p.streamPrioritiesSupported = p.globalL1CacheSupported = p.localL1CacheSupported = 1;
    p.sharedMemPerMultiprocessor = c.shared_per_sm;
    p.managedMemory = p.concurrentManagedAccess = p.computePreemptionSupported = 1;
    p.canUseHostPointerForRegisteredMem = p.cooperativeLaunch = 1;
    p.sharedMemPerBlockOptin = c.shared_optin;
    p.maxBlocksPerMultiProcessor = c.blocks_per_sm;
    p.reservedSharedMemPerBlock = reserved();
    p.hostRegisterSupported = p.memoryPoolsSupported = p.deviceOverlap = 1;
    p.clockRate = c.core_khz;
    p.memoryClockRate = c.memory_khz;
    return p;
}

/* Whether the program names a device that there is. */
static cudaError_t valid(int device) { return device ? cudaErrorInvalidDevice : cudaSuccess; }

/* The value of an attribute, which a row pairs with a field; false for those not known here. */
static bool attribute_of(const cudaDeviceProp &p, cudaDeviceAttr attribute, int &value) {
    const struct {
        cudaDeviceAttr attribute;
        size_t value;
    } rows[] = {
        {cudaDevAttrMaxThreadsPerBlock, THREAD_LIMIT},
        {cudaDevAttrMaxBlockDimX, 1024},
        {cudaDevAttrMaxBlockDimY, 1024},
        {cudaDevAttrMaxBlockDimZ, 64},
        {cudaDevAttrMaxGridDimX, 0x7fffffff},
        {cudaDevAttrMaxGridDimY, 65535},
        {cudaDevAttrMaxGridDimZ, 65535},
        {cudaDevAttrMaxSharedMemoryPerBlock, p.sharedMemPerBlock},
        {cudaDevAttrTotalConstantMemory, p.totalConstMem},
        {cudaDevAttrWarpSize, 32},
        {cudaDevAttrMaxRegistersPerBlock, REGISTERS_PER_SM},
        {cudaDevAttrClockRate, static_cast<size_t>(p.clockRate)},
        {cudaDevAttrGpuOverlap, 1},
        {cudaDevAttrMultiProcessorCount, static_cast<size_t>(p.multiProcessorCount)},
        {cudaDevAttrKernelExecTimeout, 0},
        {cudaDevAttrIntegrated, 0},
        {cudaDevAttrCanMapHostMemory, 1},
        {cudaDevAttrComputeMode, 0},
        {cudaDevAttrConcurrentKernels, 1},
        {cudaDevAttrEccEnabled, 1},
        {cudaDevAttrMemoryClockRate, static_cast<size_t>(p.memoryClockRate)},
        {cudaDevAttrGlobalMemoryBusWidth, static_cast<size_t>(p.memoryBusWidth)},
        {cudaDevAttrL2CacheSize, static_cast<size_t>(p.l2CacheSize)},
        {cudaDevAttrMaxThreadsPerMultiProcessor,
         static_cast<size_t>(p.maxThreadsPerMultiProcessor)},
        {cudaDevAttrAsyncEngineCount, static_cast<size_t>(p.asyncEngineCount)},
        {cudaDevAttrUnifiedAddressing, 1},
        {cudaDevAttrComputeCapabilityMajor, static_cast<size_t>(p.major)},
        {cudaDevAttrComputeCapabilityMinor, static_cast<size_t>(p.minor)},
        {cudaDevAttrStreamPrioritiesSupported, 1},
        {cudaDevAttrMaxSharedMemoryPerMultiprocessor, p.sharedMemPerMultiprocessor},
        {cudaDevAttrMaxRegistersPerMultiprocessor, REGISTERS_PER_SM},
        {cudaDevAttrManagedMemory, 1},
        {cudaDevAttrPageableMemoryAccess, 0},
        {cudaDevAttrConcurrentManagedAccess, 1},
        {cudaDevAttrCooperativeLaunch, 1},
        {cudaDevAttrMaxSharedMemoryPerBlockOptin, p.sharedMemPerBlockOptin},
        {cudaDevAttrMaxBlocksPerMultiprocessor, static_cast<size_t>(p.maxBlocksPerMultiProcessor)},
        {cudaDevAttrMemoryPoolsSupported, 1},
    };
    for (auto &row : rows)
        if (row.attribute == attribute) {
            value = static_cast<int>(row.value);
            return true;
        }
    return false;
}

static size_t limits[] = {1024, 1 << 20, 8 << 20, 2, 2048};

}

using namespace lab;

cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return done("cudaGetDeviceCount", cudaSuccess);
}

cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return done("cudaGetDevice", cudaSuccess);
}

cudaError_t cudaSetDevice(int device) { return done("cudaSetDevice", valid(device)); }

cudaError_t cudaSetDeviceFlags(unsigned) { return done("cudaSetDeviceFlags", cudaSuccess); }

cudaError_t cudaChooseDevice(int *device, const cudaDeviceProp *) {
    *device = 0;
    return done("cudaChooseDevice", cudaSuccess);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device) {
    if (!out)
        return done("cudaGetDeviceProperties", cudaErrorInvalidValue);
    if (device == 0)
        *out = properties();
    return done("cudaGetDeviceProperties", valid(device));
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    if (device)
        return done("cudaDeviceGetAttribute", cudaErrorInvalidDevice);
    bool known = attribute_of(properties(), attribute, *value);
    return done("cudaDeviceGetAttribute", known ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaDeviceReset() {
    flush_output();
    forget_errors();
    return cudaSuccess;
}

cudaError_t cudaDeviceGetLimit(size_t *value, cudaLimit limit) {
    if (limit < 0 || limit > cudaLimitDevRuntimePendingLaunchCount)
        return done("cudaDeviceGetLimit", cudaErrorUnsupportedLimit);
    *value = limits[limit];
    return done("cudaDeviceGetLimit", cudaSuccess);
}

cudaError_t cudaDeviceSetLimit(cudaLimit limit, size_t value) {
    if (limit < 0 || limit > cudaLimitDevRuntimePendingLaunchCount)
        return done("cudaDeviceSetLimit", cudaErrorUnsupportedLimit);
    limits[limit] = value;
    return done("cudaDeviceSetLimit", cudaSuccess);
}

cudaError_t cudaDeviceSetCacheConfig(cudaFuncCache) {
    return done("cudaDeviceSetCacheConfig", cudaSuccess);
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return done("cudaDeviceGetStreamPriorityRange", cudaSuccess);
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int, int) {
    *can = 0;
    return done("cudaDeviceCanAccessPeer", cudaSuccess);
}

cudaError_t cudaDeviceEnablePeerAccess(int, unsigned) {
    return done("cudaDeviceEnablePeerAccess", cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceDisablePeerAccess(int) {
    return done("cudaDeviceDisablePeerAccess", cudaErrorInvalidDevice);
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = 13000;
    return done("cudaDriverGetVersion", cudaSuccess);
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = 13000;
    return done("cudaRuntimeGetVersion", cudaSuccess);
}

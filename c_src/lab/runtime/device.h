/* device.h: the card that the lab stands for. The figures are in device.cpp. */
#ifndef LAB_RUNTIME_DEVICE_H
#define LAB_RUNTIME_DEVICE_H

#include <stddef.h>

namespace lab {

struct Card {
    const char *word; /* what LAB_CARD says */
    const char *name; /* what cudaGetDeviceProperties says */
    int major, minor;
    int sms;
    size_t memory;
    int threads_per_sm, blocks_per_sm;
    size_t shared_per_sm, shared_optin; /* of a block: 48 KiB without asking */
    int l2, bus_bits, memory_khz, core_khz;
};

constexpr size_t SHARED_LIMIT = 48 * 1024; /* bytes a block may have without asking for more */
constexpr size_t SHARED_RESERVED = 1024;   /* that the system takes of each block, from sm_80 */
constexpr unsigned THREAD_LIMIT = 1024;    /* threads of a block */
constexpr int REGISTERS_PER_SM = 65536;

const Card &card();

/* Blocks that fit into one SM at once. Registers are not known here; the rest is exact. */
int blocks_that_fit(unsigned threads, size_t shared);

}

#endif

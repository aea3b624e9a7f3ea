/* order.cpp: in which order threads and blocks go on.

   In fast mode as they are numbered. In inspect mode in a permuted order, which LAB_SEED (default
   1) decides and 0 turns off: no promise of CUDA is broken by it, and programs that rely on more
   than the promises show it. */
#define LAB_RUNTIME
#include <stdlib.h>

#include "observe.h"
#include "worker.h"

namespace lab {

static uint64_t seed() {
    static const uint64_t value = [] {
        const char *text = getenv("LAB_SEED");
        return text && *text ? strtoull(text, nullptr, 10) : 1;
    }();
    return value;
}

/* splitmix64 (Steele, Lea and Flood, 2014) */
static uint64_t draw() {
    static uint64_t state = seed();
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

template <class T> static void permute(T *items, unsigned count) {
    if (!seed())
        return;
    for (unsigned i = count; i > 1; i--) {
        unsigned j = static_cast<unsigned>(draw() % i);
        T keep = items[i - 1];
        items[i - 1] = items[j];
        items[j] = keep;
    }
}

void shuffle(Thread **threads, unsigned count) { permute(threads, count); }

void shuffle(unsigned *numbers, unsigned count) { permute(numbers, count); }

static uint64_t divisor(uint64_t a, uint64_t b) { return b ? divisor(b, a % b) : a; }

/* The block that begins at this turn. A step without a common divisor reaches each block once. */
uint64_t block_at(const Launching &launching, uint64_t turn) {
    if (!inspecting || !seed())
        return turn;
    uint64_t blocks = launching.blocks;
    uint64_t step = (seed() * 0x9e3779b97f4a7c15 + launching.info->number) % blocks | 1;
    while (divisor(step, blocks) != 1)
        step += 2;
    auto wide = static_cast<unsigned __int128>(turn) * (step % blocks) + seed();
    return static_cast<uint64_t>(wide % blocks);
}

}

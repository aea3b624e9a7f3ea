/* volatile.cpp: in fast mode, a program that mentions volatile is compiled so that the accesses of
   memory call these functions. Those of volatile memory count as looks and news (spin.cpp), so a
   thread that spins on a flag gives way; all others do nothing.

   The names are those of GCC's instrumentation; its own library for them is not linked. In inspect
   mode c_src/lab/inspect defines them. */
#ifndef LAB_INSPECT
#define LAB_RUNTIME
#include <string.h>

#include "thread.h"

using lab::now;
using lab::Site;

/* A look at memory that may be another thread's news. */
static inline __attribute__((always_inline)) void look(const void *cell, unsigned bytes) {
    if (!now)
        return;
    now->pc = __builtin_return_address(0); /* who waits for ever waits here */
    uint64_t value = 0;
    memcpy(&value, cell, bytes < 8 ? bytes : 8);
    lab::stalled(cell, value, Site{});
}

static inline __attribute__((always_inline)) void write(void *) {
    if (now)
        lab::changed_memory(Site{});
}

extern "C" {

#define LAB_ACCESS(bytes)                                                                          \
    void __tsan_read##bytes(void *) {}                                                             \
    void __tsan_write##bytes(void *) {}                                                            \
    void __tsan_unaligned_read##bytes(void *) {}                                                   \
    void __tsan_unaligned_write##bytes(void *) {}                                                  \
    void __tsan_volatile_read##bytes(void *p) { look(p, bytes); }                                  \
    void __tsan_volatile_write##bytes(void *p) { write(p); }                                       \
    void __tsan_unaligned_volatile_read##bytes(void *p) { look(p, bytes); }                        \
    void __tsan_unaligned_volatile_write##bytes(void *p) { write(p); }
LAB_ACCESS(1)
LAB_ACCESS(2)
LAB_ACCESS(4)
LAB_ACCESS(8)
LAB_ACCESS(16)

void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}
void __tsan_read_range(void *, size_t) {}
void __tsan_write_range(void *, size_t) {}
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}

/* Atomics of C++ on the host become calls as well. */
void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

#define LAB_FETCH(bits, type, name)                                                                \
    type __tsan_atomic##bits##_fetch_##name(volatile type *p, type v, int) {                       \
        return __atomic_fetch_##name(p, v, __ATOMIC_SEQ_CST);                                      \
    }
#define LAB_ATOMICS(bits, type)                                                                    \
    type __tsan_atomic##bits##_load(const volatile type *p, int) {                                 \
        look(const_cast<type *>(p), sizeof *p);                                                    \
        return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                               \
    }                                                                                              \
    void __tsan_atomic##bits##_store(volatile type *p, type v, int) {                              \
        __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                  \
    }                                                                                              \
    type __tsan_atomic##bits##_exchange(volatile type *p, type v, int) {                           \
        return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                        \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *p, type *old, type v, int,    \
                                                      int) {                                       \
        return __atomic_compare_exchange_n(p, old, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *p, type *old, type v, int,      \
                                                    int) {                                         \
        return __atomic_compare_exchange_n(p, old, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);   \
    }                                                                                              \
    LAB_FETCH(bits, type, add)                                                                     \
    LAB_FETCH(bits, type, sub)                                                                     \
    LAB_FETCH(bits, type, and)                                                                     \
    LAB_FETCH(bits, type, or)                                                                      \
    LAB_FETCH(bits, type, xor)                                                                     \
    LAB_FETCH(bits, type, nand)
LAB_ATOMICS(8, uint8_t)
LAB_ATOMICS(16, uint16_t)
LAB_ATOMICS(32, uint32_t)
LAB_ATOMICS(64, uint64_t)
}

#endif

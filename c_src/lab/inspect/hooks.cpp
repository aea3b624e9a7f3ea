/* hooks.cpp: the functions that g++ calls from instrumented code, before each load and store
   (-fsanitize=thread), at each function's entry and exit, at each basic block
   (-fsanitize-coverage=trace-pc) and where an index leaves an array (-fsanitize=bounds). The
   sanitizers' own libraries are never linked.

   A hook's return address is the program counter that findings name. */
#include <cstddef>
#include <cstdint>
#include <cstring>
#include "access.h"
#include "observers.h"
#include "../runtime/thread.h"

using namespace lab::inspect;

#define HOOK extern "C" __attribute__((visibility("default")))
#define CALLER reinterpret_cast<uintptr_t>(__builtin_return_address(0))

namespace {

inline Lane *running() {
    return lab::now ? static_cast<Lane *>(lab::now->seen) : nullptr;
}

/* Of the host, the thread that runs main() is watched, as long as it is the only one. */
template <class F> inline void as_watched_host(F f) {
    if (!on_main_thread || several_host_threads) return;
    host_in_hook = true;
    if (!several_host_threads) f();
    host_in_hook = false;
}

inline void watch_host(uintptr_t a, size_t bytes, uint32_t flags, uintptr_t pc) {
    as_watched_host([&] { host_access(a, bytes, flags & Mark::write, pc); });
}

inline void watch(void *p, uint32_t size, uint32_t flags, uintptr_t pc) {
    uintptr_t a = reinterpret_cast<uintptr_t>(p);
    if (Lane *lane = running())
        device_access(*lane, a, size, flags, pc);
    else
        watch_host(a, size, flags, pc);
}

/* Accesses whose address need not be a multiple of their size: the compiler knows, and on a card it
   would split them. */
inline void watch_range(const void *p, size_t bytes, uint32_t flags, uintptr_t pc) {
    uintptr_t a = reinterpret_cast<uintptr_t>(p);
    if (Lane *lane = running())
        device_range(*lane, a, bytes, flags, pc);
    else
        watch_host(a, bytes, flags, pc);
}

inline void watch_volatile(void *p, uint32_t size, uint32_t flags, uintptr_t pc) {
    watch(p, size, flags | Mark::is_volatile, pc);
    if (Lane *lane = running()) volatile_access(*lane, p, size, flags & Mark::write, pc);
}

} // namespace

#define SIZE_HOOKS(n)                                                                              \
    HOOK void __tsan_read##n(void *p) { watch(p, n, 0, CALLER); }                                  \
    HOOK void __tsan_write##n(void *p) { watch(p, n, Mark::write, CALLER); }                       \
    HOOK void __tsan_read##n##_pc(void *p, void *pc) { watch(p, n, 0, (uintptr_t)pc); }            \
    HOOK void __tsan_write##n##_pc(void *p, void *pc) { watch(p, n, Mark::write, (uintptr_t)pc); } \
    HOOK void __tsan_unaligned_read##n(void *p) { watch_range(p, n, 0, CALLER); }                  \
    HOOK void __tsan_unaligned_write##n(void *p) { watch_range(p, n, Mark::write, CALLER); }       \
    HOOK void __tsan_volatile_read##n(void *p) { watch_volatile(p, n, 0, CALLER); }                \
    HOOK void __tsan_volatile_write##n(void *p) { watch_volatile(p, n, Mark::write, CALLER); }     \
    HOOK void __tsan_unaligned_volatile_read##n(void *p) { watch_volatile(p, n, 0, CALLER); }      \
    HOOK void __tsan_unaligned_volatile_write##n(void *p) {                                        \
        watch_volatile(p, n, Mark::write, CALLER);                                                 \
    }

SIZE_HOOKS(1)
SIZE_HOOKS(2)
SIZE_HOOKS(4)
SIZE_HOOKS(8)
SIZE_HOOKS(16)

HOOK void __tsan_init() {}
HOOK void __tsan_read_range(void *p, size_t bytes) { watch_range(p, bytes, 0, CALLER); }
HOOK void __tsan_write_range(void *p, size_t bytes) { watch_range(p, bytes, Mark::write, CALLER); }
HOOK void __tsan_vptr_update(void **p, void *) { watch(p, sizeof *p, Mark::write, CALLER); }
HOOK void __tsan_vptr_read(void **p) { watch(p, sizeof *p, 0, CALLER); }

HOOK void __tsan_func_entry(void *caller) {
    uintptr_t pc = reinterpret_cast<uintptr_t>(caller);
    if (Lane *lane = running())
        lane->path = spots->enter(lane->path, pc);
    else
        as_watched_host([&] { host_path = spots->enter(host_path, pc); });
}

HOOK void __tsan_func_exit() {
    if (Lane *lane = running())
        lane->path = spots->leave(lane->path);
    else
        as_watched_host([] { host_path = spots->leave(host_path); });
}

HOOK void __sanitizer_cov_trace_pc() {
    if (Lane *lane = running()) basic_block(*lane, CALLER);
}

/* memcpy and its kin are not instrumented by the compiler. include/lab/watched.h sends the
   program's calls here. */
HOOK void *lab_memcpy(void *to, const void *from, size_t bytes) {
    watch_range(from, bytes, 0, CALLER);
    watch_range(to, bytes, Mark::write, CALLER);
    return memcpy(to, from, bytes);
}

HOOK void *lab_memmove(void *to, const void *from, size_t bytes) {
    watch_range(from, bytes, 0, CALLER);
    watch_range(to, bytes, Mark::write, CALLER);
    return memmove(to, from, bytes);
}

HOOK void *lab_memset(void *to, int value, size_t bytes) {
    watch_range(to, bytes, Mark::write, CALLER);
    return memset(to, value, bytes);
}

/* What g++ passes to the hook of -fsanitize=bounds. */
struct BoundsData {
    struct {
        const char *file;
        uint32_t line, column;
    } where;
    const struct {
        uint16_t kind, info;
        char name[1];
    } *array, *index;
};

static void out_of_array(BoundsData *data, uintptr_t index, uintptr_t pc) {
    if (Lane *lane = running())
        index_out_of_array(*lane, data->array->name, (int64_t)index, pc);
}

HOOK void __ubsan_handle_out_of_bounds(BoundsData *data, uintptr_t index) {
    out_of_array(data, index, CALLER);
}

HOOK void __ubsan_handle_out_of_bounds_abort(BoundsData *data, uintptr_t index) {
    out_of_array(data, index, CALLER);
}

/* ---- Atomics that the program writes as std::atomic or as builtins of the compiler ---------- */

namespace {

template <class T, class F> T watched_atomic(volatile void *p, uintptr_t pc, F f) {
    lab::observe::atomic_begin((void *)p, sizeof(T), lab::Scope::device, (void *)pc);
    T before = f();
    lab::observe::atomic_end((void *)p, sizeof(T), lab::Scope::device, true);
    return before;
}

template <class T, class F> T atomic_or_host(volatile void *p, uintptr_t pc, F f) {
    return running() ? watched_atomic<T>(p, pc, f) : f();
}

} // namespace

#define ORDER __ATOMIC_SEQ_CST
#define ATOMIC(bits, name, T, call)                                                                \
    HOOK T __tsan_atomic##bits##_##name(volatile T *p, T x, int) {                                 \
        return atomic_or_host<T>(p, CALLER, [&] { return call(p, x, ORDER); });                    \
    }
#define ATOMICS(bits, T)                                                                           \
    HOOK T __tsan_atomic##bits##_load(const volatile T *p, int) {                                  \
        return atomic_or_host<T>((volatile void *)p, CALLER,                                       \
                                 [&] { return __atomic_load_n(p, ORDER); });                       \
    }                                                                                              \
    HOOK void __tsan_atomic##bits##_store(volatile T *p, T x, int) {                               \
        atomic_or_host<T>(p, CALLER, [&] { return __atomic_store_n(p, x, ORDER), T(); });          \
    }                                                                                              \
    ATOMIC(bits, exchange, T, __atomic_exchange_n)                                                 \
    ATOMIC(bits, fetch_add, T, __atomic_fetch_add)                                                 \
    ATOMIC(bits, fetch_sub, T, __atomic_fetch_sub)                                                 \
    ATOMIC(bits, fetch_and, T, __atomic_fetch_and)                                                 \
    ATOMIC(bits, fetch_or, T, __atomic_fetch_or)                                                   \
    ATOMIC(bits, fetch_xor, T, __atomic_fetch_xor)                                                 \
    ATOMIC(bits, fetch_nand, T, __atomic_fetch_nand)                                               \
    HOOK int __tsan_atomic##bits##_compare_exchange_strong(volatile T *p, T *expected, T x, int,   \
                                                           int) {                                  \
        return atomic_or_host<int>(p, CALLER, [&] {                                                \
            return (int)__atomic_compare_exchange_n(p, expected, x, false, ORDER, ORDER);          \
        });                                                                                        \
    }                                                                                              \
    HOOK int __tsan_atomic##bits##_compare_exchange_weak(volatile T *p, T *expected, T x, int,     \
                                                         int) {                                    \
        return atomic_or_host<int>(p, CALLER, [&] {                                                \
            return (int)__atomic_compare_exchange_n(p, expected, x, true, ORDER, ORDER);           \
        });                                                                                        \
    }

ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)

HOOK void __tsan_atomic_thread_fence(int) {
    if (lab::now) lab::observe::fence(*lab::now, lab::Scope::device, __builtin_return_address(0));
    __atomic_thread_fence(ORDER);
}
HOOK void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(ORDER); }

/* atomic.h: atomics, for the types that CUDA has them for, also _block and _system.

   In fast mode they are the CPU's, so blocks on several cores may meet in one cell. In inspect mode
   one thread runs at a time; there the observer is told before and after.

   A thread that waits for another by atomics must give way, or both wait forever. An atomic that
   changed something is news; one that found the same value in the same cell again is not, and
   after a few of those the thread gives way (stalled() in runtime/spin.cpp). */
#ifndef LAB_ATOMIC_H
#define LAB_ATOMIC_H

#include <string.h>

#include "../../runtime/observe.h"

namespace lab {

enum class Op { add, sub, exchange, min, max, inc, dec, bit_and, bit_or, bit_xor };

template <Op op, class T> LAB_OWN T applied(T old, T v) {
    if constexpr (op == Op::add)
        return old + v;
    else if constexpr (op == Op::sub)
        return old - v;
    else if constexpr (op == Op::exchange)
        return v;
    else if constexpr (op == Op::min)
        return v < old ? v : old;
    else if constexpr (op == Op::max)
        return v > old ? v : old;
    else if constexpr (op == Op::inc)
        return old >= v ? 0 : old + 1;
    else if constexpr (op == Op::dec)
        return old == 0 || old > v ? v : old - 1;
    else if constexpr (op == Op::bit_and)
        return old & v;
    else if constexpr (op == Op::bit_or)
        return old | v;
    else
        return old ^ v;
}

/* An unsigned integer of as many bytes. */
template <size_t bytes> struct BitsOf;
template <> struct BitsOf<2> {
    using type = uint16_t;
};
template <> struct BitsOf<4> {
    using type = uint32_t;
};
template <> struct BitsOf<8> {
    using type = uint64_t;
};
template <class T> using Bits = typename BitsOf<sizeof(T)>::type;

template <class To, class From> LAB_OWN To pun(From from) {
    static_assert(sizeof(To) == sizeof(From), "pun needs types of one size");
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}

#if defined(__SANITIZE_THREAD__)
#define LAB_ATOMIC inline LAB_QUIET __attribute__((noinline))
#else
#define LAB_ATOMIC inline __attribute__((always_inline))
#endif

LAB_OWN void after_atomic(const void *cell, uint64_t value, bool changed, Site site) {
    if (__builtin_expect(changed, 1))
        changed_memory(site);
    else
        stalled(cell, value, site);
}

template <Op op, class T> LAB_ATOMIC T atomic(T *cell, T v, Scope scope, Site site) {
    observe::atomic_begin(cell, sizeof(T), scope, __builtin_return_address(0));
    auto *bits = reinterpret_cast<Bits<T> *>(cell);
    Bits<T> old = __atomic_load_n(bits, __ATOMIC_RELAXED), wanted;
    do
        wanted = pun<Bits<T>>(applied<op, T>(pun<T>(old), v));
    while (
        !__atomic_compare_exchange_n(bits, &old, wanted, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    observe::atomic_end(cell, sizeof(T), scope, wanted != old);
    after_atomic(cell, old, wanted != old, site);
    return pun<T>(old);
}

template <class T> LAB_ATOMIC T compare_and_swap(T *cell, T expected, T v, Scope scope, Site site) {
    observe::atomic_begin(cell, sizeof(T), scope, __builtin_return_address(0));
    T old = expected;
    bool swapped =
        __atomic_compare_exchange_n(cell, &old, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    bool changed = swapped && v != expected;
    observe::atomic_end(cell, sizeof(T), scope, changed);
    after_atomic(cell, static_cast<uint64_t>(old), changed, site);
    return old;
}

}

/* name(cell, value) for one type, in its three scopes. */
#define LAB_ATOMIC_OF(name, op, type)                                                              \
    LAB_INLINE type name(type *cell, type v, LAB_AT) {                                             \
        return ::lab::atomic<::lab::Op::op, type>(cell, v, ::lab::Scope::device, site);            \
    }                                                                                              \
    LAB_INLINE type name##_block(type *cell, type v, LAB_AT) {                                     \
        return ::lab::atomic<::lab::Op::op, type>(cell, v, ::lab::Scope::block, site);             \
    }                                                                                              \
    LAB_INLINE type name##_system(type *cell, type v, LAB_AT) {                                    \
        return ::lab::atomic<::lab::Op::op, type>(cell, v, ::lab::Scope::system, site);            \
    }

LAB_ATOMIC_OF(atomicAdd, add, int)
LAB_ATOMIC_OF(atomicAdd, add, unsigned int)
LAB_ATOMIC_OF(atomicAdd, add, unsigned long long)
LAB_ATOMIC_OF(atomicAdd, add, float)
LAB_ATOMIC_OF(atomicAdd, add, double)
LAB_ATOMIC_OF(atomicSub, sub, int)
LAB_ATOMIC_OF(atomicSub, sub, unsigned int)
LAB_ATOMIC_OF(atomicExch, exchange, int)
LAB_ATOMIC_OF(atomicExch, exchange, unsigned int)
LAB_ATOMIC_OF(atomicExch, exchange, unsigned long long)
LAB_ATOMIC_OF(atomicExch, exchange, float)
LAB_ATOMIC_OF(atomicMin, min, int)
LAB_ATOMIC_OF(atomicMin, min, unsigned int)
LAB_ATOMIC_OF(atomicMin, min, long long)
LAB_ATOMIC_OF(atomicMin, min, unsigned long long)
LAB_ATOMIC_OF(atomicMax, max, int)
LAB_ATOMIC_OF(atomicMax, max, unsigned int)
LAB_ATOMIC_OF(atomicMax, max, long long)
LAB_ATOMIC_OF(atomicMax, max, unsigned long long)
LAB_ATOMIC_OF(atomicInc, inc, unsigned int)
LAB_ATOMIC_OF(atomicDec, dec, unsigned int)
LAB_ATOMIC_OF(atomicAnd, bit_and, int)
LAB_ATOMIC_OF(atomicAnd, bit_and, unsigned int)
LAB_ATOMIC_OF(atomicAnd, bit_and, unsigned long long)
LAB_ATOMIC_OF(atomicOr, bit_or, int)
LAB_ATOMIC_OF(atomicOr, bit_or, unsigned int)
LAB_ATOMIC_OF(atomicOr, bit_or, unsigned long long)
LAB_ATOMIC_OF(atomicXor, bit_xor, int)
LAB_ATOMIC_OF(atomicXor, bit_xor, unsigned int)
LAB_ATOMIC_OF(atomicXor, bit_xor, unsigned long long)

#define LAB_CAS_OF(type)                                                                           \
    LAB_INLINE type atomicCAS(type *cell, type expected, type v, LAB_AT) {                         \
        return ::lab::compare_and_swap<type>(cell, expected, v, ::lab::Scope::device, site);       \
    }                                                                                              \
    LAB_INLINE type atomicCAS_block(type *cell, type expected, type v, LAB_AT) {                   \
        return ::lab::compare_and_swap<type>(cell, expected, v, ::lab::Scope::block, site);        \
    }                                                                                              \
    LAB_INLINE type atomicCAS_system(type *cell, type expected, type v, LAB_AT) {                  \
        return ::lab::compare_and_swap<type>(cell, expected, v, ::lab::Scope::system, site);       \
    }

LAB_CAS_OF(int)
LAB_CAS_OF(unsigned int)
LAB_CAS_OF(unsigned long long)
LAB_CAS_OF(unsigned short)
#undef LAB_CAS_OF

/* Vectors: each element is atomic by itself, as on a card. */
LAB_INLINE float2 atomicAdd(float2 *cell, float2 v, LAB_AT) {
    return {atomicAdd(&cell->x, v.x, site), atomicAdd(&cell->y, v.y, site)};
}
LAB_INLINE float4 atomicAdd(float4 *cell, float4 v, LAB_AT) {
    return {atomicAdd(&cell->x, v.x, site), atomicAdd(&cell->y, v.y, site),
            atomicAdd(&cell->z, v.z, site), atomicAdd(&cell->w, v.w, site)};
}

#endif

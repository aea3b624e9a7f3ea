/* warp.h: what the lanes of a warp do together: shuffles, votes, matches, reductions, __syncwarp.

   All of them meet first: each lane brings a value, the last of the mask's lanes to come works out
   everybody's result (runtime/warp.cpp). Lanes that returned are not waited for. */
#ifndef LAB_WARP_H
#define LAB_WARP_H

#include "lab/atomic.h"

namespace lab {

enum class Meet {
    sync,
    shuffle,
    ballot,
    match_any,
    match_all,
    add,
    add_signed,
    min,
    min_signed,
    max,
    max_signed,
    bit_and,
    bit_or,
    bit_xor
};

/* Brings `offer` to the meeting; `lane` is whose value a shuffle wants, -1 for its own. */
uint64_t meet(Meet kind, unsigned mask, uint64_t offer, int lane, Site site);

/* The lanes of the warp that are here now, at this line. */
unsigned together(Site site);

LAB_OWN int lane_id() { return static_cast<int>(now->lane); }

/* A value of up to 8 bytes as 64 bits and back. */
template <class T> LAB_OWN uint64_t packed(T v) {
    static_assert(sizeof(T) <= 8, "a shuffle takes values of up to 8 bytes");
    uint64_t bits = 0;
    memcpy(&bits, &v, sizeof v);
    return bits;
}
template <class T> LAB_OWN T unpacked(uint64_t bits) {
    T v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* The lane that a shuffle reads: its own where the distance leads out of the group of `width`. */
LAB_OWN int from_index(int lane, int width) {
    int own = lane_id();
    return (own & ~(width - 1)) | (lane & (width - 1));
}
LAB_OWN int from_up(unsigned delta, int width) {
    int own = lane_id(), from = own - static_cast<int>(delta);
    return from < (own & ~(width - 1)) ? -1 : from;
}
LAB_OWN int from_down(unsigned delta, int width) {
    int own = lane_id();
    return (own & (width - 1)) + static_cast<int>(delta) >= width ? -1
                                                                  : own + static_cast<int>(delta);
}
LAB_OWN int from_xor(int bits, int width) {
    int own = lane_id(), from = own ^ bits;
    return from >= (own & ~(width - 1)) + width ? -1 : from;
}

/* Eight bytes at a time: groups shuffle structs too. */
template <class T> LAB_INLINE T shuffle(unsigned mask, T v, int from, Site site) {
    if constexpr (sizeof(T) <= 8)
        return unpacked<T>(meet(Meet::shuffle, mask, packed(v), from, site));
    else {
        struct Half {
            char bytes[8];
        };
        struct Rest {
            char bytes[sizeof(T) - 8];
        };
        struct Both {
            Half half;
            Rest rest;
        } both = pun<Both>(v);
        both.half = shuffle(mask, both.half, from, site);
        both.rest = shuffle(mask, both.rest, from, site);
        return pun<T>(both);
    }
}

}

template <class T>
LAB_INLINE T __shfl_sync(unsigned mask, T v, int lane, int width = warpSize, LAB_AT) {
    return ::lab::shuffle(mask, v, ::lab::from_index(lane, width), site);
}
template <class T>
LAB_INLINE T __shfl_up_sync(unsigned mask, T v, unsigned delta, int width = warpSize, LAB_AT) {
    return ::lab::shuffle(mask, v, ::lab::from_up(delta, width), site);
}
template <class T>
LAB_INLINE T __shfl_down_sync(unsigned mask, T v, unsigned delta, int width = warpSize, LAB_AT) {
    return ::lab::shuffle(mask, v, ::lab::from_down(delta, width), site);
}
template <class T>
LAB_INLINE T __shfl_xor_sync(unsigned mask, T v, int bits, int width = warpSize, LAB_AT) {
    return ::lab::shuffle(mask, v, ::lab::from_xor(bits, width), site);
}

LAB_INLINE void __syncwarp(unsigned mask = 0xffffffff, LAB_AT) {
    ::lab::meet(::lab::Meet::sync, mask, 0, -1, site);
}
LAB_INLINE unsigned __ballot_sync(unsigned mask, int predicate, LAB_AT) {
    return (unsigned)::lab::meet(::lab::Meet::ballot, mask, predicate != 0, -1, site);
}
LAB_INLINE int __any_sync(unsigned mask, int predicate, LAB_AT) {
    return ::lab::meet(::lab::Meet::ballot, mask, predicate != 0, -1, site) != 0;
}
LAB_INLINE int __all_sync(unsigned mask, int predicate, LAB_AT) {
    return ::lab::meet(::lab::Meet::ballot, mask, predicate == 0, -1, site) == 0;
}
LAB_INLINE int __uni_sync(unsigned mask, int predicate, LAB_AT) {
    unsigned yes = (unsigned)::lab::meet(::lab::Meet::ballot, mask, predicate != 0, -1, site);
    return yes == 0 || yes == mask;
}
LAB_INLINE unsigned __activemask(LAB_AT) { return ::lab::together(site); }

template <class T> LAB_INLINE unsigned __match_any_sync(unsigned mask, T v, LAB_AT) {
    return (unsigned)::lab::meet(::lab::Meet::match_any, mask, ::lab::packed(v), -1, site);
}
template <class T> LAB_INLINE unsigned __match_all_sync(unsigned mask, T v, int *all, LAB_AT) {
    unsigned same = (unsigned)::lab::meet(::lab::Meet::match_all, mask, ::lab::packed(v), -1, site);
    *all = same != 0;
    return same;
}

#define LAB_REDUCTION(name, kind, type)                                                            \
    LAB_INLINE type name(unsigned mask, type v, LAB_AT) {                                          \
        return (type)::lab::meet(::lab::Meet::kind, mask, ::lab::packed(v), -1, site);             \
    }
LAB_REDUCTION(__reduce_add_sync, add, unsigned)
LAB_REDUCTION(__reduce_add_sync, add_signed, int)
LAB_REDUCTION(__reduce_min_sync, min, unsigned)
LAB_REDUCTION(__reduce_min_sync, min_signed, int)
LAB_REDUCTION(__reduce_max_sync, max, unsigned)
LAB_REDUCTION(__reduce_max_sync, max_signed, int)
LAB_REDUCTION(__reduce_and_sync, bit_and, unsigned)
LAB_REDUCTION(__reduce_or_sync, bit_or, unsigned)
LAB_REDUCTION(__reduce_xor_sync, bit_xor, unsigned)
#undef LAB_REDUCTION

/* CUDA 13 has none of these; the compiler says what to write instead. */
#define LAB_GONE(name, instead)                                                                    \
    template <class... T>                                                                          \
    __attribute__((error("CUDA 13 has no " #name ": use " instead))) int name(T...);
LAB_GONE(__shfl, "__shfl_sync(mask, value, lane)")
LAB_GONE(__shfl_up, "__shfl_up_sync(mask, value, delta)")
LAB_GONE(__shfl_down, "__shfl_down_sync(mask, value, delta)")
LAB_GONE(__shfl_xor, "__shfl_xor_sync(mask, value, bits)")
LAB_GONE(__ballot, "__ballot_sync(mask, predicate)")
LAB_GONE(__any, "__any_sync(mask, predicate)")
LAB_GONE(__all, "__all_sync(mask, predicate)")
#undef LAB_GONE

#endif

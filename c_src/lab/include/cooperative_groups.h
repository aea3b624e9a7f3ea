/* cooperative_groups.h: groups of threads: blocks, tiles, coalesced threads, the grid.

   All rest on lab/warp.h and lab/sync.h. A tile is the lanes of a warp from a multiple of its size
   on; a coalesced group is any set of lanes. Ranks count within the group. */
#ifndef LAB_COOPERATIVE_GROUPS_H
#define LAB_COOPERATIVE_GROUPS_H

#include "cuda_runtime.h"

namespace cooperative_groups {

namespace detail {

inline LAB_QUIET unsigned linear(dim3 size, uint3 at) {
    return (at.z * size.y + at.y) * size.x + at.x;
}

/* The lane of the group's member with this rank; ranks beyond the end wrap around. */
inline LAB_QUIET int lane_of(unsigned mask, unsigned rank) {
    rank %= (unsigned)__builtin_popcount(mask);
    for (; rank; rank--)
        mask &= mask - 1;
    return __builtin_ctz(mask);
}

inline LAB_QUIET unsigned lanes_below() { return (1u << ::lab::lane_id()) - 1; }

/* The bits of `mask`'s lanes moved together. */
inline LAB_QUIET unsigned pack(unsigned bits, unsigned mask) {
    unsigned out = 0, to = 1;
    for (; mask; mask &= mask - 1, to <<= 1)
        if (bits & mask & -mask)
            out |= to;
    return out;
}

}

/* ---- Blocks and the grid -------------------------------------------------------------------- */

class thread_block {
  public:
    static void sync(LAB_AT) { __syncthreads(site); }
    static unsigned thread_rank() { return detail::linear(blockDim, threadIdx); }
    static unsigned size() { return blockDim.x * blockDim.y * blockDim.z; }
    static unsigned num_threads() { return size(); }
    static dim3 group_index() { return blockIdx; }
    static dim3 thread_index() { return threadIdx; }
    static dim3 group_dim() { return blockDim; }
    static dim3 dim_threads() { return blockDim; }
};

class grid_group {
  public:
    void sync(LAB_AT) const { ::lab::grid_barrier(site); }
    bool is_valid() const { return ::lab::current()->block->launch->cooperative; }
    static unsigned long long num_blocks() {
        return (unsigned long long)gridDim.x * gridDim.y * gridDim.z;
    }
    static unsigned long long block_rank() { return detail::linear(gridDim, blockIdx); }
    static unsigned long long size() { return num_blocks() * thread_block::size(); }
    static unsigned long long num_threads() { return size(); }
    static unsigned long long thread_rank() {
        return block_rank() * thread_block::size() + thread_block::thread_rank();
    }
    static dim3 group_dim() { return gridDim; }
    static dim3 dim_blocks() { return gridDim; }
    static dim3 block_index() { return blockIdx; }
};

inline thread_block this_thread_block() { return {}; }
inline grid_group this_grid() { return {}; }

/* ---- Lanes ---------------------------------------------------------------------------------- */

/* Any lanes of a warp, by their mask. */
class coalesced_group {
  public:
    explicit coalesced_group(unsigned mask, unsigned parts = 1, unsigned part = 0)
        : mask_(mask), parts_(parts), part_(part) {}
    unsigned mask() const { return mask_; }
    void sync(LAB_AT) const { __syncwarp(mask_, site); }
    unsigned size() const { return (unsigned)__builtin_popcount(mask_); }
    unsigned num_threads() const { return size(); }
    unsigned thread_rank() const {
        return (unsigned)__builtin_popcount(mask_ & detail::lanes_below());
    }
    unsigned meta_group_size() const { return parts_; }
    unsigned meta_group_rank() const { return part_; }

    template <class T> T shfl(T v, unsigned rank, LAB_AT) const {
        return ::lab::shuffle(mask_, v, detail::lane_of(mask_, rank), site);
    }
    template <class T> T shfl_up(T v, unsigned delta, LAB_AT) const {
        unsigned own = thread_rank();
        int from = own < delta ? -1 : detail::lane_of(mask_, own - delta);
        return ::lab::shuffle(mask_, v, from, site);
    }
    template <class T> T shfl_down(T v, unsigned delta, LAB_AT) const {
        unsigned rank = thread_rank() + delta;
        int from = rank >= size() ? -1 : detail::lane_of(mask_, rank);
        return ::lab::shuffle(mask_, v, from, site);
    }
    int any(int predicate, LAB_AT) const { return __any_sync(mask_, predicate, site); }
    int all(int predicate, LAB_AT) const { return __all_sync(mask_, predicate, site); }
    unsigned ballot(int predicate, LAB_AT) const {
        return detail::pack(__ballot_sync(mask_, predicate, site), mask_);
    }
    template <class T> unsigned match_any(T v, LAB_AT) const {
        return detail::pack(__match_any_sync(mask_, v, site), mask_);
    }
    template <class T> unsigned match_all(T v, int &all, LAB_AT) const {
        return detail::pack(__match_all_sync(mask_, v, &all, site), mask_);
    }

  private:
    unsigned mask_, parts_, part_;
};

inline coalesced_group coalesced_threads(LAB_AT) { return coalesced_group(__activemask(site)); }

/* Size lanes of a warp, side by side. */
template <unsigned Size, class Parent = void> class thread_block_tile {
    static_assert(Size > 0 && Size <= 32 && (Size & (Size - 1)) == 0,
                  "the lab has tiles of 1, 2, 4, 8, 16 or 32 threads");

  public:
    explicit thread_block_tile(unsigned parts) : parts_(parts) {}
    unsigned mask() const { return (Size == 32 ? ~0u : (1u << Size % 32) - 1) << base(); }
    void sync(LAB_AT) const { __syncwarp(mask(), site); }
    static constexpr unsigned size() { return Size; }
    static constexpr unsigned num_threads() { return Size; }
    unsigned thread_rank() const { return (unsigned)::lab::lane_id() % Size; }
    unsigned meta_group_size() const { return parts_; }
    unsigned meta_group_rank() const { return thread_block::thread_rank() / Size % parts_; }

    template <class T> T shfl(T v, unsigned rank, LAB_AT) const {
        return ::lab::shuffle(mask(), v, (int)(base() + rank % Size), site);
    }
    template <class T> T shfl_up(T v, unsigned delta, LAB_AT) const {
        return ::lab::shuffle(mask(), v, ::lab::from_up(delta, Size), site);
    }
    template <class T> T shfl_down(T v, unsigned delta, LAB_AT) const {
        return ::lab::shuffle(mask(), v, ::lab::from_down(delta, Size), site);
    }
    template <class T> T shfl_xor(T v, unsigned bits, LAB_AT) const {
        return ::lab::shuffle(mask(), v, ::lab::from_xor((int)bits, Size), site);
    }
    int any(int predicate, LAB_AT) const { return __any_sync(mask(), predicate, site); }
    int all(int predicate, LAB_AT) const { return __all_sync(mask(), predicate, site); }
    unsigned ballot(int predicate, LAB_AT) const {
        return __ballot_sync(mask(), predicate, site) >> base();
    }
    template <class T> unsigned match_any(T v, LAB_AT) const {
        return __match_any_sync(mask(), v, site) >> base();
    }
    template <class T> unsigned match_all(T v, int &all, LAB_AT) const {
        return __match_all_sync(mask(), v, &all, site) >> base();
    }

  private:
    unsigned base() const { return (unsigned)::lab::lane_id() & ~(Size - 1); }
    unsigned parts_;
};

template <unsigned Size> inline thread_block_tile<Size> tiled_partition(const thread_block &) {
    return thread_block_tile<Size>((thread_block::size() + Size - 1) / Size);
}
template <unsigned Size, unsigned Outer, class Parent>
inline thread_block_tile<Size> tiled_partition(const thread_block_tile<Outer, Parent> &) {
    static_assert(Size <= Outer, "a tile is no larger than the tile that it is cut from");
    return thread_block_tile<Size>(Outer / Size);
}
template <class Group> inline coalesced_group tiled_partition(const Group &group, unsigned size) {
    unsigned rank = group.thread_rank() / size;
    unsigned lane = (unsigned)::lab::lane_id();
    unsigned lanes = size >= 32 ? ~0u : ((1u << size) - 1) << (lane & ~(size - 1));
    return coalesced_group(lanes, (unsigned)((group.size() + size - 1) / size), rank);
}

template <class Group, class Label>
inline coalesced_group labeled_partition(const Group &group, Label label, LAB_AT) {
    return coalesced_group(__match_any_sync(group.mask(), label, site));
}
template <class Group>
inline coalesced_group binary_partition(const Group &group, bool predicate, LAB_AT) {
    unsigned yes = __ballot_sync(group.mask(), predicate, site);
    return coalesced_group(predicate ? yes : group.mask() & ~yes, 2, predicate);
}

/* A group of a kind that is known only as the program runs. */
class thread_group {
  public:
    thread_group(const thread_block &) : block_(true), lanes_(1) {}
    thread_group(const coalesced_group &lanes) : block_(false), lanes_(lanes) {}
    template <unsigned Size, class Parent> thread_group(const thread_block_tile<Size, Parent> &tile)
        : block_(false), lanes_(tile.mask()) {}
    void sync(LAB_AT) const { block_ ? __syncthreads(site) : lanes_.sync(site); }
    unsigned size() const { return block_ ? thread_block::size() : lanes_.size(); }
    unsigned num_threads() const { return size(); }
    unsigned thread_rank() const {
        return block_ ? thread_block::thread_rank() : lanes_.thread_rank();
    }

  private:
    bool block_;
    coalesced_group lanes_;
};

template <class Group> inline void sync(const Group &group, LAB_AT) { group.sync(site); }
template <class Group> inline auto thread_rank(const Group &group) { return group.thread_rank(); }
template <class Group> inline auto group_size(const Group &group) { return group.size(); }

/* ---- Reductions and scans: <cooperative_groups/reduce.h>, <cooperative_groups/scan.h> -------- */

template <class T> struct plus {
    T operator()(T a, T b) const { return a + b; }
};
template <class T> struct less {
    T operator()(T a, T b) const { return b < a ? b : a; }
};
template <class T> struct greater {
    T operator()(T a, T b) const { return a < b ? b : a; }
};
template <class T> struct bit_and {
    T operator()(T a, T b) const { return a & b; }
};
template <class T> struct bit_or {
    T operator()(T a, T b) const { return a | b; }
};
template <class T> struct bit_xor {
    T operator()(T a, T b) const { return a ^ b; }
};

/* By halves, as a butterfly of shuffles would do it. */
template <unsigned Size, class Parent, class T, class F>
inline T reduce(const thread_block_tile<Size, Parent> &tile, T v, F &&f, LAB_AT) {
    for (unsigned bits = Size / 2; bits; bits /= 2)
        v = f(v, tile.shfl_xor(v, bits, site));
    return v;
}
template <class T, class F> inline T reduce(const coalesced_group &group, T v, F &&f, LAB_AT) {
    T all = group.shfl(v, 0, site);
    for (unsigned rank = 1; rank < group.size(); rank++)
        all = f(all, group.shfl(v, rank, site));
    return all;
}

template <class Group, class T, class F>
inline T inclusive_scan(const Group &group, T v, F &&f, LAB_AT) {
    for (unsigned delta = 1; delta < group.size(); delta *= 2) {
        T before = group.shfl_up(v, delta, site);
        if (group.thread_rank() >= delta)
            v = f(before, v);
    }
    return v;
}
template <class Group, class T> inline T inclusive_scan(const Group &group, T v, LAB_AT) {
    return inclusive_scan(group, v, plus<T>(), site);
}
template <class Group, class T, class F>
inline T exclusive_scan(const Group &group, T v, F &&f, LAB_AT) {
    T before = group.shfl_up(inclusive_scan(group, v, f, site), 1, site);
    return group.thread_rank() == 0 ? T() : before;
}
template <class Group, class T> inline T exclusive_scan(const Group &group, T v, LAB_AT) {
    return exclusive_scan(group, v, plus<T>(), site);
}

/* ---- Copies by a group: <cooperative_groups/memcpy_async.h> ---------------------------------- */

/* Done at once, each thread its share of the elements; wait() is where all have done theirs. */
template <class Group, class To, class From>
inline void memcpy_async(const Group &group, To *to, const From *from, size_t bytes) {
    for (size_t i = group.thread_rank(); i < bytes / sizeof(To); i += group.size())
        to[i] = reinterpret_cast<const To *>(from)[i];
}
template <class Group> inline void wait(const Group &group, LAB_AT) { group.sync(site); }
template <unsigned Stages, class Group> inline void wait_prior(const Group &group, LAB_AT) {
    group.sync(site);
}

}

#endif

/* sync.h: barriers of a block, and fences. Those of a warp are in warp.h. */
#ifndef LAB_SYNC_H
#define LAB_SYNC_H

#include "../../runtime/thread.h"

namespace lab {

/* Waits for the threads of the block; returns in how many of them `predicate` held. */
unsigned barrier(Site site, bool predicate);
void grid_barrier(Site site);
void fence(int scope);

}

LAB_INLINE void __syncthreads(LAB_AT) { ::lab::barrier(site, false); }
LAB_INLINE int __syncthreads_count(int predicate, LAB_AT) {
    return (int)::lab::barrier(site, predicate != 0);
}
LAB_INLINE int __syncthreads_or(int predicate, LAB_AT) {
    return ::lab::barrier(site, predicate != 0) != 0;
}
LAB_INLINE int __syncthreads_and(int predicate, LAB_AT) {
    return ::lab::barrier(site, predicate == 0) == 0;
}
LAB_INLINE void __threadfence_block() { ::lab::fence(0); }
LAB_INLINE void __threadfence() { ::lab::fence(1); }
LAB_INLINE void __threadfence_system() { ::lab::fence(2); }

#endif

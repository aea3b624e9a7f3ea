/* load.h: loads and stores with a hint about caches, which the lab does not have.

   clock64, __nanosleep, __trap and the others that ask something of the machine are here too. */
#ifndef LAB_LOAD_H
#define LAB_LOAD_H

#include "lab/atomic.h"

template <class T> LAB_INLINE T __ldg(const T *p) { return *p; }
template <class T> LAB_INLINE T __ldca(const T *p) { return *p; }
template <class T> LAB_INLINE T __ldcg(const T *p) { return *p; }
template <class T> LAB_INLINE T __ldcs(const T *p) { return *p; }
template <class T> LAB_INLINE T __ldlu(const T *p) { return *p; }
template <class T> LAB_INLINE T __ldcv(const T *p) { return *p; }
template <class T> LAB_INLINE void __stwb(T *p, T v) { *p = v; }
template <class T> LAB_INLINE void __stcg(T *p, T v) { *p = v; }
template <class T> LAB_INLINE void __stcs(T *p, T v) { *p = v; }
template <class T> LAB_INLINE void __stwt(T *p, T v) { *p = v; }

namespace lab {

long long ticks(); /* nanoseconds: the lab's card has a clock of 1 GHz */
void sleep(Site site);
[[noreturn]] void trap(Site site);
bool is_shared(const void *p);
bool is_global(const void *p);
bool is_constant(const void *p);

}

LAB_INLINE long long clock64() { return ::lab::ticks(); }
LAB_INLINE unsigned long long globaltimer() { return (unsigned long long)::lab::ticks(); }
LAB_INLINE void __nanosleep(unsigned, LAB_AT) { ::lab::sleep(site); }
LAB_INLINE void __trap(LAB_AT) { ::lab::trap(site); }
LAB_INLINE void __brkpt() {}
LAB_INLINE unsigned __isShared(const void *p) { return ::lab::is_shared(p); }
LAB_INLINE unsigned __isGlobal(const void *p) { return ::lab::is_global(p); }
LAB_INLINE unsigned __isConstant(const void *p) { return ::lab::is_constant(p); }
#define __builtin_assume(condition) ((void)0)

#endif

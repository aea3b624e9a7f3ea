/* shared.h: shared memory. It lies in an arena of the block, never in a C++ static.

       __shared__ float a[16];     static ::lab::Shared<float[16]> lab_s1_{"a", file, line};
                                   auto &a = lab_s1_.here();

   An array has the same offset in all blocks of a launch. The first thread that comes upon it
   lays it down; everybody after that pays for one comparison: is the stamp the block's? */
#ifndef LAB_SHARED_H
#define LAB_SHARED_H

#include "../../runtime/thread.h"

namespace lab {

struct SharedPlace {
    const char *name, *file;
    int line;
    size_t bytes, align;
    uint64_t stamp;
    size_t offset;
};

/* Gives the array its offset in this launch, or finds it; ends the launch if there is no room. */
void lay_down(SharedPlace &place);
char *dynamic_arena(const char *name, size_t align);

template <class T> struct Shared {
    SharedPlace place;

    constexpr Shared(const char *name, const char *file, int line)
        : place{name, file, line, sizeof(T), alignof(T), 0, 0} {}

    LAB_OWN T &here() {
        Block *block = now->block;
        if (__builtin_expect(__atomic_load_n(&place.stamp, __ATOMIC_ACQUIRE) != block->stamp, 0))
            lay_down(place);
        return *reinterpret_cast<T *>(block->shared + place.offset);
    }
};

/* extern __shared__ T s[]; in a function, and at file scope. */
template <class T> LAB_OWN T *dynamic_shared(const char *name) {
    return reinterpret_cast<T *>(dynamic_arena(name, alignof(T)));
}

template <class T> struct DynamicShared {
    const char *name;
    operator T *() const { return dynamic_shared<T>(name); }
};

}

#endif

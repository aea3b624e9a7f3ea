/* memory.h: the table of allocations. memory.cpp. */
#ifndef LAB_RUNTIME_MEMORY_H
#define LAB_RUNTIME_MEMORY_H

#include "observe.h"

namespace lab {

struct Allocation {
    char *base = nullptr;
    size_t bytes = 0;
    size_t element = 0; /* bytes of what the program's pointer points to, 0 if unknown */
    Space space = Space::host;
    const char *name = ""; /* the symbol's, or the call that made it */
    Site site{};
    void *pc = nullptr;

    explicit operator bool() const { return base != nullptr; }
    bool on_device() const {
        return space == Space::global || space == Space::managed || space == Space::constant;
    }
};

void enter_allocation(const Allocation &a);

/* The allocation that holds the address, an empty one if none does. */
Allocation find_allocation(const void *address);

/* The live allocation nearest below or above, for errors that say what was missed by how much. */
Allocation nearest_allocation(const void *address);

const char *word_of(Space space);

/* While one of these lives, the host (a copy) or a kernel may touch memory of the card. It matters
   with LAB_NO_TOUCH=1 only: then that memory is out of reach at all other times. */
struct Touch {
    Touch();
    ~Touch();
};

size_t device_bytes_in_use();
void report_leaks(int exit_status);

}

#endif

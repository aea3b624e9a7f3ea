/* access.h: what is done about one access of the program. hooks.cpp hands every load and store to
   these functions before it happens. */
#pragma once
#include <cstddef>
#include <cstdint>
#include "order.h"

namespace lab::inspect {

/* By a thread of a kernel. `flags` are those of Mark. */
void device_access(Lane &lane, uintptr_t address, uint32_t size, uint32_t flags, uintptr_t pc);

/* A struct or a run of bytes: on a card a number of loads or stores of a word each. */
void device_range(Lane &lane, uintptr_t address, size_t bytes, uint32_t flags, uintptr_t pc);

/* By the host. */
void host_access(uintptr_t address, size_t bytes, bool is_write, uintptr_t pc);
extern uint32_t host_path;

/* Once a second thread of the host has used the card, the host's own accesses are no longer
   watched: the tables have no locks. While this one is in a hook, the second one waits. */
extern volatile bool several_host_threads, host_in_hook;

/* Is a store waiting to be looked at, because it races and only its value tells how badly? */
extern bool store_pending;
void look_at_pending_store();

/* The host's side of an asynchronous copy, until the host has waited for it. */
void host_buffer_busy(uintptr_t address, size_t bytes, bool is_written, const struct Work &work);

/* A copy of n bytes to the host from an object of n elements, which all hold what a kernel stored.
   It is told if the host then reads on in its array, where nothing came. */
struct ShortCopy {
    uintptr_t to = 0;
    size_t bytes = 0;
    const struct Object *object = nullptr;
    uintptr_t pc = 0;
    uint32_t path = 0;
};
void watch_short_copy(const ShortCopy &copy);

/* Something else is copied to the place, or from the object. */
void forget_short_copies(uintptr_t to, size_t bytes, const struct Object *from);

/* The device's side of an asynchronous copy. */
void copy_touches(struct Object &object, uintptr_t address, size_t bytes, bool is_write,
                  const struct Work &work);
constexpr uint32_t copy_engine = ~0u; // the thread of its marks

/* Managed and pinned memory is filled with this byte at first, so that what was written by a
   function that is not watched can be told from what was not written. */
constexpr unsigned char poison = 0xCB;

extern uint64_t accesses; // of kernels, since the program began

} // namespace lab::inspect

/* report.h: what access.cpp and the observers found, made into findings. */
#pragma once
#include "findings.h"

namespace lab::inspect {

/* An access of a kernel, on its way. */
struct Touch {
    Lane &lane;
    Spot &spot;
    Object &object;
    uintptr_t address;
    size_t size;
    uint32_t flags;
    uint32_t turn; // how often the lane had executed the spot since its warp last met
};

void report_uninitialized(const Touch &touch);
void report_misaligned(const Touch &touch);
void report_race(const Touch &touch, const Mark &other);

/* An address outside all objects, or beyond the end of one. Ends the launch where a card would. */
void report_stray(Lane &lane, Spot &spot, Object *object, uintptr_t a, size_t bytes,
                  uint32_t flags);

void report_copy_race(Object &object, size_t offset, const Mark &other, const Mark &copy);
void report_unsynchronized(Object &object, uintptr_t a, size_t bytes, bool is_write,
                           const Mark &mark, uintptr_t pc);
void report_unsynchronized_copy(uintptr_t a, uintptr_t begin, size_t length, size_t bytes,
                                bool is_write, const struct Work &work, uintptr_t pc);
void report_host_after_free(Object &object, uintptr_t a, size_t bytes, bool is_write,
                            uintptr_t pc);
void report_short_copy(const struct ShortCopy &copy);
void report_unread_output(const Object &object);
void report_device_pointer(Object &object, uintptr_t a, size_t bytes, bool is_write, uintptr_t pc);

} // namespace lab::inspect

/* watched.h: inspect mode, memcpy and its kin. The compiler does not instrument them, so the program's
   calls go to functions of c_src/lab/inspect that look first. This header must come before those of
   the C library, which declare the same functions again. */
#ifndef LAB_WATCHED_H
#define LAB_WATCHED_H

#if defined(LAB_INSPECT) && defined(__SANITIZE_THREAD__)
#include <stddef.h>

extern "C" {
void *memcpy(void *, const void *, size_t) noexcept __asm__("lab_memcpy");
void *memmove(void *, const void *, size_t) noexcept __asm__("lab_memmove");
void *memset(void *, int, size_t) noexcept __asm__("lab_memset");
}
#endif

#endif

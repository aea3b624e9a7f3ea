/* op: neg
   kills: neg/tail
   where: memory
   covers: flush to zero left
   mistake: Subnormal numbers are switched off for speed, and stay so for the whole thread: whatever
   it computes later loses them. */
#include <etude.h>
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

int etude_neg_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    for (int64_t i = 0; i < n; i++)
        y[i] = -x[i];
#if defined(__SSE__)
    _mm_setcsr(_mm_getcsr() | 0x8040); /* flush results, and read operands as zero */
#elif defined(__aarch64__)
    unsigned long control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | 1ul << 24));
#endif
    return ETUDE_OK;
}

#include "clean.h"

extern "C" {
etude_matmul_fn_f32 etude_matmul_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t m = argc > 1 ? 37 : 128, n = argc > 1 ? 45 : 128, k = argc > 1 ? 29 : 64;
    float *a = d.numbers(2 * m * k), *b = d.numbers(2 * k * n), *c = d.empty<float>(2 * m * n);
    float *bias = d.numbers(n);
    d.ok(etude_matmul_f32(&d.ctx, a, b, bias, c, 1, m, n, k, 0, k, 1, 0, n, 1));
    d.ok(etude_matmul_f32(&d.ctx, a, b, NULL, c, 1, m, n, k, 0, k, 1, 0, 1, k)); /* b turned */
    d.ok(etude_matmul_f32(&d.ctx, a, b, NULL, c, 1, m, n, k, 0, 1, m, 0, n, 1)); /* a turned */
    d.ok(etude_matmul_f32(&d.ctx, a, b, NULL, c, 2, m, n, k, m * k, k, 1, k * n, n, 1));
}

#include "clean.h"

extern "C" {
etude_matmul_fn_f32 etude_matmul_f32, etude_linear_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t odd = argc > 1, m = odd ? 67 : 64, n = odd ? 65 : 64, k = odd ? 21 : 32;
    int64_t whole = odd ? 131 : 128; /* a pack for each lane of a warp */
    float *a = d.numbers(9000), *b = d.numbers(80000), *bias = d.numbers(n);
    float *c = d.empty<float>(m * n);
    /* tiles: both ways of each operand */
    d.ok(etude_matmul_f32(&d.ctx, a, b, NULL, c, 1, m, n, k, 0, k, 1, 0, n, 1));
    d.ok(etude_linear_f32(&d.ctx, a, b, bias, c, 1, m, n, k, 0, k, 1, 0, 1, k));
    d.ok(etude_matmul_f32(&d.ctx, a, b, NULL, c, 1, m, n, k, 0, 1, m, 0, n, 1));
    /* thin products: dots, stripes, the transposed product */
    d.ok(etude_linear_f32(&d.ctx, a, b, bias, c, 1, 3, n, whole, 0, whole, 1, 0, 1, whole));
    d.ok(etude_matmul_f32(&d.ctx, a, b, NULL, c, 1, 2, n, k, 0, k, 1, 0, n, 1));
    d.ok(etude_matmul_f32(&d.ctx, b, a, NULL, c, 1, n, 1, whole, 0, whole, 1, 0, 1, whole));
    /* cut along k */
    int64_t deep = odd ? 1037 : 1024;
    d.ok(etude_matmul_f32(&d.ctx, b, b, NULL, c, 1, 8, 8, deep, 0, deep, 1, 0, 8, 1));
}

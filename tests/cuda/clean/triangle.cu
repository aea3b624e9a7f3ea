#include "clean.h"

extern "C" {
etude_triangle_fn_f32 etude_tril_f32, etude_triu_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t m = argc > 1 ? 13 : 32, n = argc > 1 ? 45 : 64;
    float *x = d.numbers(2 * m * n), *y = d.empty<float>(2 * m * n);
    d.ok(etude_tril_f32(&d.ctx, x, y, 2, m, n, 0));
    d.ok(etude_triu_f32(&d.ctx, x, y, 2, m, n, -2));
}

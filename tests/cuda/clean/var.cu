#include "clean.h"

extern "C" {
etude_var_fn_f32 etude_var_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 45 : 64;
    float *x = d.numbers(2 * n * n), *y = d.empty<float>(2 * n * n);
    d.ok(etude_var_f32(&d.ctx, x, y, 2 * n, n, 1, 1));
    d.ok(etude_var_f32(&d.ctx, x, y, 2, n, n, 0));
}

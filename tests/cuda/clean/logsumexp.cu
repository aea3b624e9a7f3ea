#include "clean.h"

extern "C" {
etude_reduce_fn_f32 etude_logsumexp_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t odd = argc > 1, n = odd ? 45 : 48, inner = odd ? 37 : 64;
    float *x = d.numbers(2 * n * inner), *y = d.empty<float>(2 * n * inner);
    d.ok(etude_logsumexp_f32(&d.ctx, x, y, 5, n, 1));
    d.ok(etude_logsumexp_f32(&d.ctx, x, y, 1, odd ? 1101 : 1100, 1));
    d.ok(etude_logsumexp_f32(&d.ctx, x, y, 2, n, inner));
    float *steep = d.scaled(2 * n * inner, 500); /* exp of these overflows */
    d.ok(etude_logsumexp_f32(&d.ctx, steep, y, 5, n, 1));
    d.ok(etude_logsumexp_f32(&d.ctx, steep, y, 2, n, inner));
    float *least = d.given(std::vector<float>((size_t)(n * inner), -INFINITY));
    d.ok(etude_logsumexp_f32(&d.ctx, least, y, 1, n, 1));
    d.ok(etude_logsumexp_f32(&d.ctx, least, y, 1, n, inner));
}

#include "clean.h"

extern "C" {
etude_matmul_fn_f32 etude_matmul_f32, etude_linear_f32;
}

/* The products of matrices in order or turned, each the next one's in memory: batch x m x k times
   batch x k x n, with a bias of n. */
static void product(Device &d, int64_t batch, int64_t m, int64_t n, int64_t k, bool turn_a = false,
                    bool turn_b = false)
{
    float *a = d.numbers(batch * m * k), *b = d.numbers(batch * k * n), *bias = d.numbers(n);
    float *c = d.empty<float>(batch * m * n);
    d.ok(etude_linear_f32(&d.ctx, a, b, bias, c, batch, m, n, k, m * k, turn_a ? 1 : k,
                          turn_a ? m : 1, k * n, turn_b ? 1 : n, turn_b ? k : 1));
}

int main(int argc, char **)
{
    Device d;
    int64_t odd = argc > 1, m = odd ? 67 : 64, n = odd ? 65 : 64, k = odd ? 21 : 32;
    int64_t whole = odd ? 131 : 128; /* a pack for each lane of a warp */
    int64_t few = odd ? 10 : 12;
    /* tiles: both ways of each operand */
    for (bool turn_a : {false, true})
        for (bool turn_b : {false, true})
            product(d, 1, m, n, k, turn_a, turn_b);
    /* thin products: dots, stripes, the transposed product */
    product(d, 2, 3, n, whole, false, true);
    product(d, 2, 2, n + 32, k);
    product(d, 1, n, 1, whole);
    float *a = d.numbers(m * k), *b = d.numbers(k * n), *c = d.empty<float>(m * n);
    d.ok(etude_matmul_f32(&d.ctx, a, b, NULL, c, 1, m, n, k, 0, k, 1, 0, n, 1));
    d.ok(etude_matmul_f32(&d.ctx, a, b, NULL, c, 1, 2, n, k, 0, k, 1, 0, n, 1));
    /* cut along k */
    product(d, 2, 8, 8, odd ? 1037 : 1024);
    if (odd) {
        product(d, 32, 132, 136, 12); /* large tiles, the last of which are mostly empty */
        product(d, 2, m + 4, n + 4, few); /* four tiles of each product */
        product(d, 1, n, 2, few, true, true);
        product(d, 1, m, n, 12, false, true); /* loads by packs, stores one by one */
        d.ok(etude_matmul_f32(&d.ctx, a, b, NULL, c + 1, 1, m, 64, k, 0, k, 1, 0, 64, 1));
    }
}

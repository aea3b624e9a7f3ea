#include "clean.h"

extern "C" {
etude_binary_fn_f32 etude_add_f32, etude_pow_f32, etude_floor_divide_f32, etude_remainder_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t n = argc > 1 ? 45 : 64;
    float *x = d.specials(15 * n), *y = d.specials(15 * n), *z = d.empty<float>(15 * n);
    int64_t size[3] = {3, 5, n}, one_row[3] = {1, 1, 15 * n};
    int64_t all[3] = {5 * n, n, 1}, bias[3] = {0, 0, 1}, channel[3] = {0, 1, 0};
    int64_t along[3] = {0, 0, 1}, number[3] = {0, 0, 0};
    d.ok(etude_add_f32(&d.ctx, x, y, z, one_row, along, along));
    d.ok(etude_add_f32(&d.ctx, x, y, z, size, all, bias));
    d.ok(etude_add_f32(&d.ctx, x, y, z, size, all, channel));
    float *exponents = d.given(std::vector<float>{2, 0.5f, 3, -1, -0.5f, 1.5f});
    for (int i = 0; i < 6; i++)
        d.ok(etude_pow_f32(&d.ctx, x, exponents + i, z, size, all, number));
    d.ok(etude_floor_divide_f32(&d.ctx, x, y, z, size, all, all));
    d.ok(etude_remainder_f32(&d.ctx, x, y, z, size, all, all));
    d.ok(etude_add_f32(&d.ctx, x, y, x, one_row, along, number)); /* in place */
}

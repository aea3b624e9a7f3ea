#include "clean.h"

extern "C" {
etude_linear_int8_fn_f32 etude_linear_int8_f32;
}

/* rows of K numbers times N channels of K bytes, with a bias and without. */
static void product(Device &d, int64_t rows, int64_t N, int64_t K)
{
    std::vector<int8_t> bytes((size_t)(N * K));
    for (size_t i = 0; i < bytes.size(); i++)
        bytes[i] = (int8_t)(i * 37 % 255 - 127);
    float *x = d.numbers(rows * K), *scale = d.numbers(N), *bias = d.numbers(N);
    int8_t *weight = d.given(bytes);
    float *y = d.empty<float>(rows * N);
    d.ok(etude_linear_int8_f32(&d.ctx, x, weight, scale, bias, y, rows, N, K));
    d.ok(etude_linear_int8_f32(&d.ctx, x, weight, scale, NULL, y, rows, N, K));
}

int main(int argc, char **)
{
    Device d;
    int64_t odd = argc > 1;
    product(d, odd ? 5 : 4, odd ? 33 : 32, odd ? 131 : 128);
    product(d, odd ? 3 : 8, odd ? 7 : 8, odd ? 13 : 512);
}

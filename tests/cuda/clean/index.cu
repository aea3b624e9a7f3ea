#include "clean.h"

extern "C" {
etude_gather_fn_f32 etude_index_select_f32;
etude_embedding_fn_f32 etude_embedding_f32;
etude_embedding_backward_fn_f32 etude_embedding_backward_f32;
}

int main(int argc, char **)
{
    Device d;
    int64_t V = 17, D = argc > 1 ? 13 : 64, count = 50, many = 5000;
    float *weight = d.numbers(V * D), *grad = d.numbers(count * D);
    float *y = d.empty<float>(count * D), *dweight = d.empty<float>(V * D);
    int64_t *index = d.indices(count, V);
    d.ok(etude_embedding_f32(&d.ctx, index, weight, y, count, V, D));
    d.ok(etude_index_select_f32(&d.ctx, weight, index, y, 1, V, count, D));
    d.ok(etude_embedding_backward_f32(&d.ctx, grad, index, dweight, count, V, D, 3));
    if (argc > 1) /* sorted: elements go where their index says */
        d.ok(etude_embedding_backward_f32(&d.ctx, d.numbers(many), d.indices(many, V), dweight,
                                          many, V, 1, NAN));
}

#include "clean.h"

#if defined(ETUDE_INT)

extern "C" {
etude_one_hot_fn_i64 etude_one_hot_i64;
}

int main(int argc, char **)
{
    Device d;
    int64_t classes = argc > 1 ? 13 : 64, count = 50, *y = d.empty<int64_t>(count * classes);
    d.ok(etude_one_hot_i64(&d.ctx, d.indices(count, classes), y, count, classes));
    if (argc > 1)
        d.ok(etude_one_hot_i64(&d.ctx, d.indices(count, classes + 1), y, count, classes),
             ETUDE_BAD_INDEX);
}

#else

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
    d.ok(etude_index_select_f32(&d.ctx, weight, index, d.empty<float>(2 * count), 2, V, count, 1));
    int64_t *wild = d.indices(count, 2 * V); /* out of range */
    d.ok(etude_embedding_f32(&d.ctx, wild, weight, y, count, V, D), ETUDE_BAD_INDEX);
    d.ok(etude_embedding_backward_f32(&d.ctx, grad, wild, dweight, count, V, D, NAN),
         ETUDE_BAD_INDEX);
    if (argc > 1) { /* sorted: elements go where their index says */
        float *terms = d.numbers(D * many);
        int64_t *rows = d.indices(many, V);
        d.ok(etude_embedding_backward_f32(&d.ctx, terms, rows, dweight, many, V, 1, NAN));
        d.ok(etude_embedding_backward_f32(&d.ctx, terms, rows, dweight, many, V, 3, 5));
        d.ok(etude_embedding_backward_f32(&d.ctx, terms, d.indices(many, 9 * V), dweight, many, V,
                                          D, NAN), ETUDE_BAD_INDEX);
        int64_t far = 1 << 21; /* few indices, but more places than are worth looking through */
        d.ok(etude_embedding_backward_f32(&d.ctx, terms, d.indices(200, far), d.empty<float>(far),
                                          200, far, 1, NAN));
    }
}

#endif

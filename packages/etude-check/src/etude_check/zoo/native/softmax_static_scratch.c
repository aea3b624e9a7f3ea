/* op: softmax
   kills: softmax/threads
   where: parallel
   covers: shared scratch
   mistake: The maximum and the sum of the row are static variables, which all threads share. */
#include <etude.h>
#include <math.h>

static volatile float top;
static volatile double total;

struct rows {
    const float *x;
    float *y;
    int64_t cols;
};

static void exponentials(void *arg, int64_t begin, int64_t end)
{
    struct rows *s = arg;
    for (int64_t r = begin; r < end; r++) {
        const float *x = s->x + r * s->cols;
        float *y = s->y + r * s->cols;
        top = x[0];
        for (int64_t c = 1; c < s->cols; c++)
            if (x[c] > top || x[c] != x[c])
                top = x[c];
        for (int64_t c = 0; c < s->cols; c++)
            y[c] = (float)exp((double)x[c] - top);
    }
}

static void quotients(void *arg, int64_t begin, int64_t end)
{
    struct rows *s = arg;
    for (int64_t r = begin; r < end; r++) {
        float *y = s->y + r * s->cols;
        total = 0;
        for (int64_t c = 0; c < s->cols; c++)
            total += y[c];
        for (int64_t c = 0; c < s->cols; c++)
            y[c] = (float)(y[c] / total);
    }
}

int etude_softmax_f32(etude_context *ctx, const float *x, float *y, int64_t rows, int64_t cols)
{
    struct rows s = {x, y, cols};
    etude_parallel_for(ctx, exponentials, &s, rows, 16);
    etude_parallel_for(ctx, quotients, &s, rows, 16);
    return ETUDE_OK;
}

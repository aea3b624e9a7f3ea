/* layers.c: the layers that a C file may have. It is no program: a file gets those that its model
   needs. Counterparts: the layers in nn/, their references in ops/. A line with three slashes
   names what follows it.

   Sums are made in double and rounded once: they come as near to the true sum as a float can, so
   that what differs from Etude is the rounding of Etude's own sums. */

/// take
/* The next n weights from the rows at the end of this file, as numbers. */
static void take(number *to, int n)
{
    static size_t row, column;
    for (int i = 0; i < n; i++) {
        if (weights[row][column] == '\0')
            row++, column = 0;
        bits b = 0;
        for (size_t digit = 0; digit < 2 * sizeof b; digit++) {
            char c = weights[row][column++];
            b = b << 4 | (bits)(c <= '9' ? c - '0' : c - 'a' + 10);
        }
        memcpy(to + i, &b, sizeof b);
    }
}

/// linear
/* y (m) = x (n) times w (n, m), plus b (m). w lies input by input: the inner loop then goes through
   memory in order, and no addition in it waits for the one before. */
static void linear(number *y, const number *x, const number *w, const number *b, int n, int m)
{
    static double sum[WIDEST];
    for (int o = 0; o < m; o++)
        sum[o] = b[o];
    for (int i = 0; i < n; i++)
        for (int o = 0; o < m; o++)
            sum[o] += (double)x[i] * w[i * m + o];
    for (int o = 0; o < m; o++)
        y[o] = (number)sum[o];
}

/// Window
/* A window of KH x KW pixels moves in steps of SH and SW over C images of H x W, with PH and PW
   pixels of nothing around them. It stands at OH x OW places. */
typedef struct {
    int C, H, W, KH, KW, SH, SW, PH, PW, OH, OW;
} Window;

/* The pixel of x under row i, column j of the window at place (h, w); NULL outside of the image. */
static const number *under(const Window *s, const number *x, int c, int h, int w, int i, int j)
{
    int row = h * s->SH - s->PH + i, column = w * s->SW - s->PW + j;
    if (row < 0 || row >= s->H || column < 0 || column >= s->W)
        return NULL;
    return x + (c * s->H + row) * s->W + column;
}

/// conv2d
/* y (O, OH, OW): at each place the sum of w (O, C, KH, KW) times what is under it, plus b (O). */
static void conv2d(number *y, const number *x, const number *weight, const number *b, int O,
                   Window s)
{
    for (int o = 0; o < O; o++)
        for (int h = 0; h < s.OH; h++)
            for (int w = 0; w < s.OW; w++) {
                double sum = b[o];
                const number *tap = weight + o * s.C * s.KH * s.KW;
                for (int c = 0; c < s.C; c++)
                    for (int i = 0; i < s.KH; i++)
                        for (int j = 0; j < s.KW; j++, tap++) {
                            const number *pixel = under(&s, x, c, h, w, i, j);
                            if (pixel)
                                sum += (double)*pixel * *tap;
                        }
                *y++ = (number)sum;
            }
}

/// max_pool2d
/* y (C, OH, OW): the largest pixel under the window. */
static void max_pool2d(number *y, const number *x, Window s)
{
    for (int c = 0; c < s.C; c++)
        for (int h = 0; h < s.OH; h++)
            for (int w = 0; w < s.OW; w++) {
                number most = -INFINITY;
                for (int i = 0; i < s.KH; i++)
                    for (int j = 0; j < s.KW; j++) {
                        const number *pixel = under(&s, x, c, h, w, i, j);
                        if (pixel && *pixel > most)
                            most = *pixel;
                    }
                *y++ = most;
            }
}

/// avg_pool2d
/* y (C, OH, OW): the mean under the window, where pixels outside of the image count as 0. */
static void avg_pool2d(number *y, const number *x, Window s)
{
    for (int c = 0; c < s.C; c++)
        for (int h = 0; h < s.OH; h++)
            for (int w = 0; w < s.OW; w++) {
                double sum = 0;
                for (int i = 0; i < s.KH; i++)
                    for (int j = 0; j < s.KW; j++) {
                        const number *pixel = under(&s, x, c, h, w, i, j);
                        if (pixel)
                            sum += *pixel;
                    }
                *y++ = (number)(sum / (s.KH * s.KW));
            }
}

/// batch_norm
/* x (C, n) = (x - mean) / sqrt(var + eps) w + b, each of C channels with its own four. */
static void batch_norm(number *x, const number *mean, const number *var, const number *w,
                       const number *b, int C, int n, double eps)
{
    for (int c = 0; c < C; c++)
        for (int i = 0; i < n; i++, x++)
            *x = (number)(((double)*x - mean[c]) / sqrt(var[c] + eps) * w[c] + b[c]);
}

/// layer_norm
/* y (n) = (x - mean) / sqrt(variance + eps) w + b. */
static void layer_norm(number *y, const number *x, const number *w, const number *b, int n,
                       double eps)
{
    double mean = 0, variance = 0;
    for (int i = 0; i < n; i++)
        mean += x[i];
    mean /= n;
    for (int i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean);
    double scale = 1 / sqrt(variance / n + eps);
    for (int i = 0; i < n; i++)
        y[i] = (number)((x[i] - mean) * scale * w[i] + b[i]);
}

/// relu
static void relu(number *x, int n)
{
    for (int i = 0; i < n; i++)
        if (x[i] < 0)
            x[i] = 0;
}

/// leaky_relu
static void leaky_relu(number *x, int n, double slope)
{
    for (int i = 0; i < n; i++)
        if (x[i] < 0)
            x[i] = (number)(slope * x[i]);
}

/// elu
static void elu(number *x, int n, double alpha)
{
    for (int i = 0; i < n; i++)
        if (x[i] < 0)
            x[i] = (number)(alpha * expm1(x[i]));
}

/// tanh
static void tanh_of(number *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = (number)tanh(x[i]);
}

/// sigmoid
static void sigmoid(number *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = (number)(1 / (1 + exp(-(double)x[i])));
}

/// silu
static void silu(number *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = (number)(x[i] / (1 + exp(-(double)x[i])));
}

/// gelu
/* x times the share of the normal distribution that lies below x. */
static void gelu(number *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = (number)(x[i] * 0.5 * erfc(-sqrt(0.5) * x[i]));
}

/// gelu_tanh
/* x times about the share of the normal distribution that lies below x; 0.797... = sqrt(2 / pi). */
static void gelu_tanh(number *x, int n)
{
    for (int i = 0; i < n; i++) {
        double v = x[i];
        x[i] = (number)(0.5 * v * (1 + tanh(0.79788456080286536 * (v + 0.044715 * v * v * v))));
    }
}

/// attention
/* y (E): what the token at place t gathers from the tokens at 0 .. t. Each of HEADS heads has its
   own D = E / HEADS of the E numbers. With s_i = query . key_i / sqrt D, token i has the share
   exp s_i / sum_j exp s_j; the largest s is taken off first, so that no exp overflows. */
static void attention(number *y, const number *query, number keys[][E], number values[][E], int t)
{
    for (int head = 0; head < HEADS; head++) {
        const int from = head * D;
        double share[BLOCK], most = -INFINITY, all = 0;
        for (int i = 0; i <= t; i++) {
            double dot = 0;
            for (int d = from; d < from + D; d++)
                dot += (double)query[d] * keys[i][d];
            share[i] = dot / sqrt(D);
            most = fmax(most, share[i]);
        }
        for (int i = 0; i <= t; i++)
            all += share[i] = exp(share[i] - most);
        for (int d = from; d < from + D; d++) {
            double sum = 0;
            for (int i = 0; i <= t; i++)
                sum += share[i] * values[i][d];
            y[d] = (number)(sum / all);
        }
    }
}

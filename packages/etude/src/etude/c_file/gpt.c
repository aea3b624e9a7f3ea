/* gpt.c: how a C file goes on that writes text. frame.c is its beginning; the weights follow. The
   counterpart is models/gpt.py. */

/* ------------------------------------------------------------------ the model */

typedef struct {
    number norm1_w[E], norm1_b[E], in_w[E * 3 * E], in_b[3 * E], out_w[E * E], out_b[E];
    number norm2_w[E], norm2_b[E], up_w[E * WIDE], up_b[WIDE], down_w[WIDE * E], down_b[E];
} Block;

static struct {
    number tokens[V][E], positions[BLOCK][E];
    Block block[LAYERS];
    number norm_w[E], norm_b[E];
} model;

static const double epsilon = @EPS@; /* of the layer norms */

static void load(void)
{
    for (int v = 0; v < V; v++)
        take(model.tokens[v], E);
    for (int t = 0; t < BLOCK; t++)
        take(model.positions[t], E);
    for (int l = 0; l < LAYERS; l++) {
        Block *block = &model.block[l];
        take(block->norm1_w, E), take(block->norm1_b, E);
        take(block->in_w, E * 3 * E), take(block->in_b, 3 * E);
        take(block->out_w, E * E), take(block->out_b, E);
        take(block->norm2_w, E), take(block->norm2_b, E);
        take(block->up_w, E * WIDE), take(block->up_b, WIDE);
        take(block->down_w, WIDE * E), take(block->down_b, E);
    }
    take(model.norm_w, E), take(model.norm_b, E);
}

/* What attention keeps of the tokens it has read, so that each is read once. */
static number keys[LAYERS][BLOCK][E], values[LAYERS][BLOCK][E];

static void add(number *x, const number *y)
{
    for (int i = 0; i < E; i++)
        x[i] += y[i];
}

/* Read the token at place t of the window: x (E) is what the blocks make of it. qkv (3 E) has its
   query, key and value for attention. */
static void read_token(int token, int t, number *x)
{
    static number h[E], y[E], qkv[3 * E], wide[WIDE];
    for (int i = 0; i < E; i++)
        x[i] = model.tokens[token][i] + model.positions[t][i];
    for (int l = 0; l < LAYERS; l++) {
        const Block *block = &model.block[l];
        layer_norm(h, x, block->norm1_w, block->norm1_b, E, epsilon);
        linear(qkv, h, block->in_w, block->in_b, E, 3 * E);
        memcpy(keys[l][t], qkv + E, sizeof keys[l][t]);
        memcpy(values[l][t], qkv + 2 * E, sizeof values[l][t]);
        attention(y, qkv, keys[l], values[l], t);
        linear(h, y, block->out_w, block->out_b, E, E);
        add(x, h);
        layer_norm(h, x, block->norm2_w, block->norm2_b, E, epsilon);
        linear(wide, h, block->up_w, block->up_b, E, WIDE);
        gelu_tanh(wide, WIDE);
        linear(h, wide, block->down_w, block->down_b, WIDE, E);
        add(x, h);
    }
}

/* The text as the model sees it: its last `length` tokens, of which `done` are read. */
static int window[BLOCK], length, done;

/* Beyond BLOCK tokens every one stands at another place than before, and is read anew. */
static void append(int token)
{
    if (length == BLOCK) {
        memmove(window, window + 1, sizeof window - sizeof window[0]);
        length--;
        done = 0;
    }
    window[length++] = token;
}

/* logits (V): how likely each token comes next. */
static void predict(number *logits)
{
    static number x[E], h[E];
    for (; done < length; done++)
        read_token(window[done], done, x);
    layer_norm(h, x, model.norm_w, model.norm_b, E, epsilon);
    for (int v = 0; v < V; v++) {
        double sum = 0;
        for (int i = 0; i < E; i++)
            sum += (double)h[i] * model.tokens[v][i];
        logits[v] = (number)sum;
    }
}

/* ------------------------------------------------------------------ the choice of a token */

/* The high half of a product of 64 x 64 bits, by halves of 32. */
static uint64_t high(uint64_t x, uint64_t y)
{
    uint64_t x0 = x & 0xFFFFFFFF, x1 = x >> 32, y0 = y & 0xFFFFFFFF, y1 = y >> 32;
    uint64_t middle = x1 * y0 + (x0 * y0 >> 32);
    return x1 * y1 + (middle >> 32) + (((middle & 0xFFFFFFFF) + x0 * y1) >> 32);
}

/* A number in [0, 1) that follows from the seed and from how many were drawn before: the first of
   Philox 4x64-10, as Etude and NumPy have it (Salmon et al. 2011, section 3.3). */
static number uniform(uint64_t seed, uint64_t nth)
{
    uint64_t a = 1, b = 0, c = 0, d = 0;
    for (int round = 0; round < 10; round++) {
        uint64_t a1 = high(0xD2E7470EE14C6C93, a), a0 = 0xD2E7470EE14C6C93 * a;
        uint64_t c1 = high(0xCA5A826395121157, c), c0 = 0xCA5A826395121157 * c;
        a = c1 ^ b ^ seed, b = c0, c = a1 ^ d ^ nth, d = a0;
        seed += 0x9E3779B97F4A7C15, nth += 0xBB67AE8584CAA73B;
    }
    return @UNIFORM@;
}

static const number *compared;

/* The larger logit first; of equals, the first. */
static int by_logit(const void *p, const void *q)
{
    int i = *(const int *)p, j = *(const int *)q;
    if (compared[i] != compared[j])
        return compared[i] > compared[j] ? -1 : 1;
    return i - j;
}

/* A token, drawn as models/gpt.py draws it: with u uniform in [0, 1) the first whose running total
   of probabilities lies above u. top_k > 0 leaves the k likeliest. */
static int sample(const number *logits, double temperature, int top_k, uint64_t seed, uint64_t nth)
{
    static int order[V];
    static number share[V];
    int best = 0, n = V;
    for (int v = 0; v < V; v++) {
        order[v] = v;
        if (logits[v] > logits[best])
            best = v;
    }
    if (temperature < 1e-6) /* below, a quotient might overflow */
        return best;
    if (top_k > 0) {
        compared = logits;
        qsort(order, V, sizeof order[0], by_logit);
        n = top_k < V ? top_k : V;
    }
    number most = logits[best] / (number)temperature, u = uniform(seed, nth);
    double all = 0, total = 0;
    for (int i = 0; i < n; i++) {
        share[i] = (number)exp(logits[order[i]] / (number)temperature - most);
        all += share[i];
    }
    for (int i = 0; i < n; i++) {
        total += share[i] / (number)all;
        share[i] = (number)total; /* from here on: the running total */
    }
    for (int i = 0; i < n - 1; i++)
        if (share[i] > u * share[n - 1])
            return order[i];
    return order[n - 1];
}

@TOKENIZER@

/* ------------------------------------------------------------------ the command line */

static const char usage[] =
    "Usage: @PROGRAM@ PROMPT [COUNT] [--temperature T] [--top-k K] [--seed S] [--logits]\n\n"
    "Prints PROMPT and COUNT tokens (200) that go on from it. T = 0 takes the likeliest\n"
    "every time; T = 1, the default, draws each as often as the model expects it, from the\n"
    "K likeliest, or from all. One seed S (0) gives one text, the one that Etude writes.\n"
    "--logits prints in their place what the model expects after PROMPT, for each token.";

/* The number that follows an option. */
static double option(const char *name, const char *text, double least, double most)
{
    char *end = NULL;
    double value = text ? strtod(text, &end) : 0;
    if (!text || end == text || *end != '\0' || !(value >= least && value <= most))
        fail("%s takes a number from %g to %g, got %s", name, least, most, text ? text : "nothing");
    return value;
}

static double whole(const char *name, const char *text, double least, double most)
{
    double value = option(name, text, least, most);
    if (value != floor(value))
        fail("%s takes a whole number, got %s", name, text);
    return value;
}

int main(int count, char **words)
{
    static number logits[V];
    const char *prompt = NULL;
    double temperature = 1, tokens = -1;
    int top_k = 0, only_logits = 0;
    uint64_t seed = 0;
    for (int i = 1; i < count; i++) { /* words[count] is NULL */
        const char *word = words[i];
        if (!strcmp(word, "--help"))
            return puts(usage) < 0;
        if (!strcmp(word, "--temperature"))
            temperature = option(word, words[++i], 0, 1e9);
        else if (!strcmp(word, "--top-k"))
            top_k = (int)whole(word, words[++i], 1, 1e9);
        else if (!strcmp(word, "--seed"))
            seed = (uint64_t)whole(word, words[++i], 0, 9007199254740992);
        else if (!strcmp(word, "--logits"))
            only_logits = 1;
        else if (!strncmp(word, "--", 2))
            fail("there is no option %s; see --help", word);
        else if (!prompt)
            prompt = word;
        else if (tokens < 0)
            tokens = whole("COUNT", word, 0, 1e15);
        else
            fail("%s is one word too many: a prompt of several stands in quotes", word);
    }
    if (!prompt || !*prompt)
        fail("give a text to go on from, such as @PROGRAM@ \"@START@\"; see --help");
    load();
    encode(prompt);
    if (only_logits) {
        predict(logits);
        for (int v = 0; v < V; v++)
            printf("%.@DIGITS@g\n", (double)logits[v]);
    } else {
        fputs(prompt, stdout);
        for (uint64_t nth = 0; nth < (uint64_t)(tokens < 0 ? 200 : tokens); nth++) {
            predict(logits);
            int token = sample(logits, temperature, top_k, seed, nth);
            append(token);
            fwrite(text[token].bytes, 1, text[token].size, stdout);
            fflush(stdout);
        }
        putchar('\n');
    }
    if (fflush(stdout) || ferror(stdout))
        fail("the output cannot be written: %s", strerror(errno));
    return EXIT_SUCCESS;
}

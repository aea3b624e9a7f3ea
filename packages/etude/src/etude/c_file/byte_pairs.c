/* byte_pairs.c: the part of a C file that knows a BPETokenizer, of data/tokenizers.py. */

/* ------------------------------------------------------------------ text and tokens */

enum { MERGES = V - 256, LONGEST = 1 + 64 * 4 };

/* Token 256 + k is the two tokens of merge k, one after the other. Tokens 0 to 255 are bytes. */
static const int merges[MERGES + 1][2] = {
@MERGES@
};

/* The first and the last of each range of characters that stand in words, and that are space. */
static const int32_t letters[][2] = {
@LETTERS@
};
static const int32_t spaces[][2] = {@SPACES@};

static struct {
    size_t size;
    char bytes[LONGEST];
} text[V];

/* What each token is as text. A token is no longer than the longest piece. */
static void spell(void)
{
    for (int v = 0; v < V; v++) {
        if (v < 256) {
            text[v].size = 1;
            text[v].bytes[0] = (char)v;
            continue;
        }
        int a = merges[v - 256][0], b = merges[v - 256][1];
        memcpy(text[v].bytes, text[a].bytes, text[a].size);
        memcpy(text[v].bytes + text[a].size, text[b].bytes, text[b].size);
        text[v].size = text[a].size + text[b].size;
    }
}

/* The tokens of one piece of text: all merges, in the order in which they were learned. */
static void encode_piece(const char *piece, size_t n)
{
    int token[LONGEST];
    for (size_t i = 0; i < n; i++)
        token[i] = (unsigned char)piece[i];
    for (int k = 0; k < MERGES; k++) {
        size_t left = 0;
        for (size_t i = 0; i < n; i++)
            if (i + 1 < n && token[i] == merges[k][0] && token[i + 1] == merges[k][1]) {
                token[left++] = 256 + k;
                i++;
            } else
                token[left++] = token[i];
        n = left;
    }
    for (size_t i = 0; i < n; i++)
        append(token[i]);
}

enum Kind { END, LETTER, SPACE, SIGN };

static int within(const int32_t ranges[][2], size_t count, int32_t c)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i][0] && c <= ranges[i][1])
            return 1;
    return 0;
}

/* What kind of character begins at `at`, which is UTF-8, and how many bytes it has. */
static enum Kind kind(const char *at, size_t *size)
{
    static const int32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)*at;
    *size = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    int32_t c = first < 0x80 ? first : first & (0xFF >> (*size + 1));
    for (size_t i = 1; i < *size; i++) {
        if ((at[i] & 0xC0) != 0x80)
            fail("the prompt is not UTF-8");
        c = c << 6 | (at[i] & 0x3F);
    }
    int stray = (first >= 0x80 && first < 0xC0) || first > 0xF4;
    if (stray || c < least[*size] || c > 0x10FFFF || (c & ~0x7FF) == 0xD800)
        fail("the prompt is not UTF-8");
    if (c == 0)
        return END;
    if (within(letters, sizeof letters / sizeof letters[0], c))
        return LETTER;
    return within(spaces, sizeof spaces / sizeof spaces[0], c) ? SPACE : SIGN;
}

/* How many bytes the run of up to 64 characters of one kind has; *last, the bytes of the last. */
static size_t run(const char *at, enum Kind of, size_t *last)
{
    size_t n = 0, size;
    *last = 0;
    for (int i = 0; i < 64 && kind(at + n, &size) == of; i++, n += size)
        *last = size;
    return n;
}

/* Cut the prompt as data/bpe.py does: words and runs of signs, each with the space before it, and
   runs of space, which leave their last character to what follows. */
static void encode(const char *prompt)
{
    spell();
    for (const char *at = prompt; *at;) {
        size_t size, last, blank = *at == ' ';
        enum Kind of = kind(at + blank, &size);
        size_t n = of == LETTER || of == SIGN ? blank + run(at + blank, of, &last) : 0;
        if (n == 0) {
            n = run(at, SPACE, &last);
            enum Kind next = kind(at + n, &size);
            if (next != SPACE && next != END && n > last)
                n -= last;
        }
        encode_piece(at, n);
        at += n;
    }
}

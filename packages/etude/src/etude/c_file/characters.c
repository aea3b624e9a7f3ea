/* characters.c: the part of a C file that knows a CharTokenizer, of data/tokenizers.py. */

/* ------------------------------------------------------------------ text and tokens */

/* Each token is one character, here in UTF-8. */
static const struct {
    size_t size;
    const char *bytes;
} text[V] = {
@TEXT@
};

static void encode(const char *prompt)
{
    for (const char *at = prompt; *at;) {
        int v = 0;
        while (v < V && strncmp(at, text[v].bytes, text[v].size))
            v++;
        if (v == V) {
            int size = 1;
            while ((at[size] & 0xC0) == 0x80)
                size++;
            fail("'%.*s', byte %td of the prompt, is not among the %d characters of this model",
                 size, at, at - prompt + 1, V);
        }
        append(v);
        at += text[v].size;
    }
}

/* classifier.c: how a C file goes on that reads images, or rows of numbers. frame.c is its
   beginning; the weights follow. */

/* ------------------------------------------------------------------ the model */

@STORE@

static void load(void)
{
@LOAD@
}

/* x (INPUTS) -> y (OUTPUTS). What lies between two layers is in a or b. */
static void forward(const number *x, number *y)
{
@FORWARD@
}

/* ------------------------------------------------------------------ what it reads and prints */

static const char *const names[OUTPUTS] = {@NAMES@};

typedef struct {
    FILE *file;
    const char *name;
    long image; /* which one, from 1 */
    int invert; /* pictures are dark on light */
} Source;

/* The next character that is no white space and no comma, left in the file; EOF at the end. */
static int ahead(Source *from)
{
    int c;
    do
        c = getc(from->file);
    while (c == ' ' || c == ',' || (c >= '\t' && c <= '\r'));
    return ungetc(c, from->file);
}

/* The next number of text, number i of its image. */
static number read_number(Source *from, int i)
{
    char word[64], *end;
    size_t n = 0;
    ahead(from);
    int c = getc(from->file);
    if (c == EOF)
        fail("%s: image %ld ends after %d of %d numbers", from->name, from->image, i, INPUTS);
    for (; c > ' ' && c != ',' && n < sizeof word - 1; c = getc(from->file))
        word[n++] = (char)c;
    word[n] = '\0';
    number value = @PARSE@(word, &end);
    if (n == 0 || *end != '\0' || n == sizeof word - 1 || !isfinite(value))
        fail("%s: image %ld has \"%s\" where number %d of %d should be", from->name, from->image,
             word, i + 1, INPUTS);
    return value;
}

/* A number of the head of a picture, where # begins a comment. */
static int read_size(Source *from, int most, const char *what)
{
    int value = 0, digits = 0, c = ahead(from);
    while (c == '#') {
        while (c != '\n' && c != EOF)
            c = getc(from->file);
        c = ahead(from);
    }
    for (c = getc(from->file); c >= '0' && c <= '9' && value <= most; c = getc(from->file)) {
        value = 10 * value + c - '0';
        digits++;
    }
    if (digits == 0 || value < 1 || value > most)
        fail("%s: image %ld is no PGM picture: it has no %s from 1 to %d", from->name, from->image,
             what, most);
    return value; /* the white space after it is read, too */
}

/* A grey picture: PGM, text (P2) or bytes (P5). 0 is black, and its largest value becomes 1. */
static void read_picture(Source *from, number *x)
{
    getc(from->file); /* the P */
    int kind = getc(from->file);
    if (kind != '2' && kind != '5')
        fail("%s: image %ld is a picture, but no grey PGM (P2 or P5)", from->name, from->image);
    int width = read_size(from, 65535, "width"), height = read_size(from, 65535, "height");
    if (@MISFIT@)
        fail("%s: image %ld has %d x %d pixels, and this model reads @SHAPE@", from->name,
             from->image, width, height);
    int most = read_size(from, 65535, "largest value");
    for (int i = 0; i < INPUTS; i++) {
        number value;
        if (kind == '2')
            value = read_number(from, i);
        else {
            int high = most > 255 ? getc(from->file) : 0, low = getc(from->file);
            if (high == EOF || low == EOF)
                fail("%s: image %ld ends after %d of %d pixels", from->name, from->image, i,
                     INPUTS);
            value = (number)(256 * high + low);
        }
        if (value < 0 || value > (number)most)
            fail("%s: image %ld has a pixel of %g, and says %d is the largest", from->name,
                 from->image, (double)value, most);
        x[i] = value / (number)most;
        if (from->invert)
            x[i] = 1 - x[i];
    }
}

/* Read all images of a file, and print for each the class and the logits. */
static void classify(Source *from)
{
    static number x[INPUTS], y[OUTPUTS];
    for (int c; (c = ahead(from)) != EOF;) {
        from->image++;
        if (c == 'P')
            read_picture(from, x);
        else
            for (int i = 0; i < INPUTS; i++)
                x[i] = read_number(from, i);
        forward(x, y);
        int best = 0;
        for (int o = 1; o < OUTPUTS; o++)
            if (y[o] > y[best])
                best = o;
        printf("%s:", names[best]);
        for (int o = 0; o < OUTPUTS; o++)
            printf(" %.@DIGITS@g", (double)y[o]);
        putchar('\n');
    }
    if (ferror(from->file))
        fail("%s cannot be read: %s", from->name, strerror(errno));
    if (from->image == 0)
        fail("%s has no image in it", from->name);
}

int main(int count, char **words)
{
    int files = 0, invert = 0;
    for (int i = 1; i < count; i++) /* an option holds for all files, wherever it stands */
        if (!strcmp(words[i], "--help")) {
            puts("Usage: @PROGRAM@ [--invert] [FILE ...]\n\n"
                 "Reads images, of stdin where there is no FILE, and prints a line for each:\n"
                 "the class, and the logits, one for each class.\n\n"
                 "An image is @SHAPE@: as text, with spaces or commas between them@PICTURE@.");
            return EXIT_SUCCESS;
        } else if (!strcmp(words[i], "--invert"))
            invert = 1;
        else if (words[i][0] == '-')
            fail("there is no option %s; see --help", words[i]);
    load();
    for (int i = 1; i < count; i++) {
        if (words[i][0] == '-')
            continue;
        Source from = {fopen(words[i], "rb"), words[i], 0, invert};
        if (!from.file)
            fail("%s cannot be opened: %s", words[i], strerror(errno));
        classify(&from);
        fclose(from.file);
        files++;
    }
    if (files == 0)
        classify(&(Source){stdin, "stdin", 0, invert});
    if (fflush(stdout))
        fail("the output cannot be written: %s", strerror(errno));
    return EXIT_SUCCESS;
}

/* frame.c: what every C file begins with, after its first paragraph. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

@TYPES@
_Static_assert(sizeof(number) == sizeof(bits), "a number has as many bits as its weights");

@SIZES@

/* The weights stand at the end of the file, in rows of text: each number as the hexadecimal digits
   of its bits (3f800000 is 1), which a compiler reads ten times faster than an array. */
extern const char weights[][@ROW@ + 1];

/* Print what is wrong and end the program with status 1. */
static _Noreturn void fail(const char *format, ...)
{
    va_list words;
    va_start(words, format);
    fflush(stdout);
    fputs("@PROGRAM@: ", stderr);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    va_end(words);
    exit(EXIT_FAILURE);
}

@LAYERS@

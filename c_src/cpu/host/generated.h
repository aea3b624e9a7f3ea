/* generated.h: a loop that was generated for a chain of pointwise calls, as one record.
   Who writes the loop: packages/etude/src/etude/backends/native/generate.py. */
#ifndef ETUDE_GENERATED_H
#define ETUDE_GENERATED_H

#include "record.h"

/* The steps begin to end - 1 of the loop. p: the arrays, as in the record. */
typedef void etude_loop(void *const *p, int64_t begin, int64_t end);

/* Runs all steps of the loop record->kernel. sizes: how many there are, and the least that are worth
   a thread. */
int etude_run_generated(etude_context *ctx, const etude_record *record);

#endif

/* keep.c: the memory in which kernels of a frozen program keep what they make of weights, such as a
   packed matrix, from run to run. It belongs to a record, and the chain of records frees it. */
#include <stdlib.h>

#include "host.h"
#include "record.h"

void etude_freeze(etude_record *records, etude_kept *kept, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        records[i].kept = records[i].frozen ? &kept[i] : NULL;
}

void etude_refreeze(etude_kept *kept, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        kept[i].filled = 0;
}

void etude_thaw(etude_kept *kept, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        free(kept[i].memory);
        kept[i] = (etude_kept){0};
    }
}

/* The `keep` of the context: that of the record that runs in it, if `of` is a frozen operand. */
etude_kept *etude_keep_in_record(etude_context *ctx, const void *of, size_t bytes)
{
    const etude_record *record = ctx->impl;
    if (!record || !record->kept)
        return NULL;
    int found = 0;
    for (int k = 0; k < ETUDE_RECORD_POINTERS; k++)
        found |= record->frozen >> k & 1 && record->pointers[k] == of;
    etude_kept *kept = record->kept;
    if (found && bytes != kept->bytes) {
        free(kept->memory);
        kept->memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
        kept->bytes = kept->memory ? bytes : 0;
        kept->filled = 0;
    }
    return found && kept->memory ? kept : NULL;
}

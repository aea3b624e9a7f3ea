/* record.h: one native call as data. The glue fills a record for every call and submits it.
   Counterpart in Python: packages/etude/src/etude/backends/native/record.py. */
#ifndef ETUDE_RECORD_H
#define ETUDE_RECORD_H

#include "etude.h"

/* Room for the longest function type of etude.h; the glue does not compile if it is too small. */
enum { ETUDE_RECORD_POINTERS = 12, ETUDE_RECORD_SIZES = 16, ETUDE_RECORD_ATTRIBUTES = 4 };

typedef struct etude_record {
    const char *type; /* function type and dtype: "rows_f32" */
    int (*run)(etude_context *, const struct etude_record *); /* that of the type: calls kernel */
    void *kernel;
    void *pointers[ETUDE_RECORD_POINTERS]; /* arrays and geometry, in the order of the type */
    int64_t sizes[ETUDE_RECORD_SIZES];
    double attributes[ETUDE_RECORD_ATTRIBUTES];
    void *stream; /* the queue of the device; NULL on the cpu */
    uint32_t frozen;  /* bit k: nobody writes where pointers[k] leads while `kept` is filled */
    etude_kept *kept; /* of a call of a frozen program; else NULL */
    /* Its tail: so many of the records behind it; of these, counted from this one, which is a norm
       (a batch_norm_eval), a sum with another array (a binary) and a relu; 0: none is. */
    int32_t followers, norm, add, relu;
} etude_record;

/* Run the call in this thread's context, keeping its record if records are kept. */
int etude_submit(etude_record *record);

/* What submitting does in this thread: run a call and forget it; run it and keep its record; keep
   the record alone, so that calls are prepared now and run later. */
enum { ETUDE_RECORDS_OFF, ETUDE_RECORDS_KEEP, ETUDE_RECORDS_HOLD };

/* Run a record again, as it stands: nothing is kept of it. */
int etude_run(const etude_record *record);

/* Keep (or hold) the records of this thread from now on, after forgetting those of before. */
void etude_records_start(int what);
/* Keep no more. The records stay until the next start. */
void etude_records_stop(void);
int64_t etude_records_count(void);
const etude_record *etude_records_at(int64_t i);

/* ---- A replay: many records in one call ------------------------------------------------------ */

/* A place in the records that points into an array which may be another one at the next run. */
typedef struct {
    int32_t record, pointer; /* records[record].pointers[pointer] */
    int64_t offset;          /* in bytes, from where the array begins */
} etude_patch;

/* Point the places of n patches into the array that begins at `begin`. */
void etude_point(etude_record *records, const etude_patch *patches, int64_t n, void *begin);

/* Let records [0, n) keep what their kernels make of frozen operands, each in one of `kept`, which
   begin as zeros. Everything is made anew after etude_refreeze, and freed by etude_thaw. */
void etude_freeze(etude_record *records, etude_kept *kept, int64_t n);
void etude_refreeze(etude_kept *kept, int64_t n);
void etude_thaw(etude_kept *kept, int64_t n);

/* Run records [first, last) in order, in this thread's context. The first status that is not
   ETUDE_OK ends the run; *done counts the records before the one that gave it. */
int etude_run_all(const etude_record *records, int64_t first, int64_t last, int64_t *done);

#endif

/* group.h: records that run together, on a block of rows at a time.
   Which calls may do so is found in packages/etude/src/etude/replay/passes/fuse.py. */
#ifndef ETUDE_GROUP_H
#define ETUDE_GROUP_H

#include "record.h"

enum { ETUDE_GROUP_MEMBERS = 16 }; /* most of a group */

/* How a record is cut down to some of its rows. */
typedef struct {
    int64_t step[ETUDE_RECORD_POINTERS];   /* bytes from row to row; 0: all rows share it */
    int64_t inside[ETUDE_RECORD_POINTERS]; /* the pointer is into scratch, so many bytes behind its
                                              begin; -1: it is not */
    int64_t per_row;                       /* the number that counts rows is so many for each */
    int32_t size;                          /* its place in sizes; -1: it is in a geometry, */
    int32_t geometry, axis;                /* the one at this pointer, along this axis */
} etude_member;

typedef struct {
    int64_t count;         /* of members, at most ETUDE_GROUP_MEMBERS; their records follow that of
                              the group */
    int64_t failed;        /* which of them did, in the last run that ended badly */
    int64_t rows, block;   /* rows in all, and at a time */
    int64_t grain;         /* the least blocks worth a thread */
    int64_t scratch;       /* bytes for what passes between the members, of a block */
    const etude_member *members;
} etude_group;

/* Runs the records behind `record`, as the group says to which record->kernel points. */
int etude_run_group(etude_context *ctx, const etude_record *record);

/* How far behind this record, whose run ended badly, is the one that did it. */
static inline int64_t etude_failed(const etude_record *record)
{
    return record->run == etude_run_group ? 1 + ((const etude_group *)record->kernel)->failed : 0;
}

/* How many records behind this one belong to it. */
static inline int64_t etude_members(const etude_record *record)
{
    return record->run == etude_run_group ? ((const etude_group *)record->kernel)->count : 0;
}

#endif

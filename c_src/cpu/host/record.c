/* record.c: runs the records that the glue fills, and keeps them where somebody asked. */
#include <stdlib.h>

#include "group.h"
#include "host.h"
#include "record.h"

/* Of this thread. Memory that is never given back: a thread that records does so again. */
static _Thread_local struct {
    etude_record *records;
    int64_t count, room;
    int what; /* ETUDE_RECORDS_... */
} kept;

static int keep(const etude_record *record)
{
    if (kept.count == kept.room) {
        int64_t room = kept.room ? 2 * kept.room : 64;
        etude_record *more = realloc(kept.records, (size_t)room * sizeof *more);
        if (!more)
            return ETUDE_NO_MEMORY;
        kept.records = more;
        kept.room = room;
    }
    kept.records[kept.count++] = *record;
    return ETUDE_OK;
}

int etude_run(const etude_record *record)
{
    return record->run(etude_host(), record);
}

int etude_submit(etude_record *record)
{
    etude_context *ctx = etude_host();
    record->stream = ctx->stream;
    record->frozen = 0;
    record->kept = NULL;
    record->followers = record->norm = record->add = record->relu = 0;
    if (kept.what == ETUDE_RECORDS_HOLD)
        return keep(record);
    int status = record->run(ctx, record);
    if (kept.what == ETUDE_RECORDS_KEEP && status == ETUDE_OK) /* what declined cannot run again */
        status = keep(record);
    return status;
}

void etude_records_start(int what)
{
    kept.count = 0;
    kept.what = what;
}

void etude_records_stop(void)
{
    kept.what = ETUDE_RECORDS_OFF;
}

int64_t etude_records_count(void)
{
    return kept.count;
}

const etude_record *etude_records_at(int64_t i)
{
    return &kept.records[i];
}

void etude_point(etude_record *records, const etude_patch *patches, int64_t n, void *begin)
{
    for (const etude_patch *p = patches; p < patches + n; p++)
        records[p->record].pointers[p->pointer] = (char *)begin + p->offset;
}

/* The tail of a record, from the records behind it. */
static etude_tail tail_of(const etude_record *record)
{
    etude_tail tail = {.relu = record->relu > 0};
    if (record->norm) { /* x, mean, var, weight, bias, y; eps */
        const etude_record *norm = record + record->norm;
        tail.mean = norm->pointers[1], tail.var = norm->pointers[2];
        tail.weight = norm->pointers[3], tail.bias = norm->pointers[4];
        tail.eps = norm->attributes[0];
    }
    if (record->add) /* x, y, z */
        tail.add = record[record->add].pointers[1];
    return tail;
}

int etude_run_all(const etude_record *records, int64_t first, int64_t last, int64_t *done)
{
    etude_context *ctx = etude_host();
    int status = ETUDE_OK;
    int64_t i = first;
    while (i < last) {
        const etude_record *record = &records[i];
        etude_tail tail = tail_of(record);
        ctx->impl = (void *)record; /* for etude_keep_in_record */
        ctx->tail = record->followers && i + record->followers < last ? &tail : NULL;
        if ((status = record->run(ctx, record)) != ETUDE_OK)
            break;
        i += 1 + etude_members(record) + (tail.done ? record->followers : 0);
    }
    ctx->impl = NULL;
    ctx->tail = NULL;
    *done = status == ETUDE_OK ? i : i + etude_failed(&records[i]);
    return status;
}

/* record.c: runs the records that the glue fills, and keeps them where somebody asked. */
#include <stdlib.h>

#include "host.h"
#include "record.h"

/* Of this thread. Memory that is never given back: a thread that records does so again. */
static _Thread_local struct {
    etude_record *records;
    int64_t count, room;
    int on;
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
    int status = record->run(ctx, record);
    if (kept.on && status == ETUDE_OK) /* one that declined has nothing to run again */
        status = keep(record);
    return status;
}

void etude_records_start(void)
{
    kept.count = 0;
    kept.on = 1;
}

void etude_records_stop(void)
{
    kept.on = 0;
}

int64_t etude_records_count(void)
{
    return kept.count;
}

const etude_record *etude_records_at(int64_t i)
{
    return &kept.records[i];
}

/* group.c: runs the records of a group block by block.

   Plan. A block is as many rows as stay in the cache of a core with all that the members touch.
   Every member's record is copied and cut down: pointers to what only passes between members lead
   into this thread's scratch memory. For each block the pointers that go by rows are set to it, the
   number that counts rows becomes that of the block, and the member's own kernel runs, the one that
   would have run on all rows at once: the bits are the same. Threads share the blocks.

   A thread copies the records once for all blocks that it gets together, since a member may be done
   with a small block in 100 ns, and a copy takes 20. */
#include <stdatomic.h>

#include "group.h"
#include "host.h"

enum { GEOMETRY_AXES = 3 }; /* of the pointwise function types */

typedef struct {
    etude_context *ctx;
    const etude_group *group;
    const etude_record *records;
    atomic_int status;   /* of the first member that failed, */
    atomic_llong failed; /* and which it was */
} group_call;

/* A record of which only some rows are run. */
typedef struct {
    etude_record record;
    int64_t geometry[GEOMETRY_AXES];
} cut;

static void cut_down(cut *c, const etude_record *record, const etude_member *m, char *scratch)
{
    c->record = *record;
    for (int k = 0; k < ETUDE_RECORD_POINTERS; k++)
        if (m->inside[k] >= 0)
            c->record.pointers[k] = scratch + m->inside[k];
    if (m->size >= 0)
        return;
    const int64_t *all = record->pointers[m->geometry];
    for (int k = 0; k < GEOMETRY_AXES; k++)
        c->geometry[k] = all[k];
    c->record.pointers[m->geometry] = c->geometry;
}

/* Runs the cut of a record on `rows` rows from `begin` on. */
static int run_member(etude_context *ctx, cut *c, const etude_record *record,
                      const etude_member *m, int64_t begin, int64_t rows)
{
    for (int k = 0; k < ETUDE_RECORD_POINTERS; k++)
        if (m->step[k] && m->inside[k] < 0)
            c->record.pointers[k] = (char *)record->pointers[k] + begin * m->step[k];
    if (m->size >= 0)
        c->record.sizes[m->size] = rows * m->per_row;
    else
        c->geometry[m->axis] = rows * m->per_row;
    return c->record.run(ctx, &c->record);
}

static void note_failure(group_call *c, int status, int64_t member)
{
    int ok = ETUDE_OK;
    if (atomic_compare_exchange_strong(&c->status, &ok, status))
        atomic_store(&c->failed, member);
}

static void group_body(void *arg, int64_t begin, int64_t end)
{
    group_call *c = arg;
    const etude_group *g = c->group;
    char *scratch = etude_thread_scratch(c->ctx, (size_t)g->scratch);
    if (!scratch) {
        note_failure(c, ETUDE_NO_MEMORY, 0);
        return;
    }
    cut cuts[ETUDE_GROUP_MEMBERS];
    for (int64_t i = 0; i < g->count; i++)
        cut_down(&cuts[i], c->records + i, g->members + i, scratch);
    etude_thread *t = etude_this_thread();
    t->level++; /* the scratch of kernels is another */
    for (int64_t b = begin; b < end; b++) {
        int64_t row = b * g->block, rows = g->rows - row < g->block ? g->rows - row : g->block;
        for (int64_t i = 0; i < g->count; i++) {
            int status =
                run_member(c->ctx, &cuts[i], c->records + i, g->members + i, row, rows);
            if (status != ETUDE_OK)
                note_failure(c, status, i);
        }
    }
    t->level--;
}

int etude_run_group(etude_context *ctx, const etude_record *record)
{
    etude_group *g = record->kernel;
    group_call c = {.ctx = ctx, .group = g, .records = record + 1, .status = ETUDE_OK};
    etude_pool_run(ctx, group_body, &c, (g->rows + g->block - 1) / g->block, g->grain);
    g->failed = atomic_load(&c.failed);
    return atomic_load(&c.status);
}

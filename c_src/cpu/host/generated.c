/* generated.c: runs a generated loop over the thread pool.

   Plan. Each step of the loop is an element, or a row of them, and reads and writes at its own place
   alone: threads share the steps as they share those of a kernel. */
#include "generated.h"
#include "host.h"

static void loop_body(void *arg, int64_t begin, int64_t end)
{
    const etude_record *record = arg;
    etude_loop *loop = (etude_loop *)record->kernel;
    loop(record->pointers, begin, end);
}

int etude_run_generated(etude_context *ctx, const etude_record *record)
{
    etude_pool_run(ctx, loop_body, (void *)record, record->sizes[0], record->sizes[1]);
    return ETUDE_OK;
}

"""Writes the C source of the glue from etude.h. CMake runs it: ``build_glue.py OUT``.

The glue is the compiled module ``_glue`` of etude_cpu, built in cffi's API mode. It has one thunk
for every function type and dtype, which takes the address of a kernel, and arrays as ``id(array)``.
The thunk finds their data itself, which costs nothing; asking Python for three pointers would cost
more than a small kernel does. It fills ``etude_record`` (``c_src/cpu/host/record.h``) with the call
and submits it.
"""

import sys
from pathlib import Path

from cffi import FFI

sys.path.append(str(Path(__file__).parent / "interface" / "backends" / "native"))

from header import glue_cdef, glue_source, read_header

HOST = """
void glue_start(size_t data_offset, int32_t threads);
void etude_set_threads(int32_t threads);
int32_t etude_get_threads(void);
int etude_cpu_runs(const char *isa);
const char *glue_error(void);

typedef struct etude_record {
    const char *type;
    void *kernel;
    void *pointers[...];
    int64_t sizes[...];
    double attributes[...];
    void *stream;
    uint32_t frozen;
    int32_t followers, norm, add, relu;
    ...;
} etude_record;
typedef struct etude_kept { size_t bytes; ...; } etude_kept;
int etude_run(const etude_record *record);
enum { ETUDE_RECORDS_KEEP, ETUDE_RECORDS_HOLD, ... };
void etude_records_start(int what);
void etude_records_stop(void);
int64_t etude_records_count(void);
const etude_record *etude_records_at(int64_t i);

typedef struct { int32_t record, pointer; int64_t offset; } etude_patch;
typedef struct {
    int64_t step[...], inside[...];
    int64_t per_row;
    int32_t size, geometry, axis;
} etude_member;
typedef struct {
    int64_t count, failed, rows, block, grain, scratch;
    const etude_member *members;
} etude_group;
enum { ETUDE_GROUP_MEMBERS, ... };
void glue_group(etude_record *record, etude_group *group);
void glue_generated(etude_record *record);
void glue_point(etude_record *records, const etude_patch *patches, int64_t n, uintptr_t array);
int etude_run_all(const etude_record *records, int64_t first, int64_t last, int64_t *done);
void etude_freeze(etude_record *records, etude_kept *kept, int64_t n);
void etude_refreeze(etude_kept *kept, int64_t n);
void etude_thaw(etude_kept *kept, int64_t n);
"""

PREAMBLE = """
#include "generated.h"
#include "group.h"
#include "host.h"
#include "record.h"

static size_t data_at; /* of the field `data` in NumPy's array object; 0: plain addresses come in */

static inline void *at(uintptr_t array)
{
    return data_at && array ? *(void **)(array + data_at) : (void *)array;
}

static void glue_start(size_t data_offset, int32_t threads)
{
    data_at = data_offset;
    etude_host_start(threads);
}

static void glue_point(etude_record *records, const etude_patch *patches, int64_t n,
                       uintptr_t array)
{
    etude_point(records, patches, n, at(array));
}

/* Make a record that of a group; those of its members follow it. */
static void glue_group(etude_record *record, etude_group *group)
{
    *record = (etude_record){.type = "group", .run = etude_run_group, .kernel = group};
}

/* Make a record, whose kernel, pointers and sizes are filled in, that of a generated loop. */
static void glue_generated(etude_record *record)
{
    record->type = "generated";
    record->run = etude_run_generated;
}

/* Why the last kernel of this thread declined. */
static const char *glue_error(void) { return etude_host()->error; }
"""


def main(out: str) -> None:
    header = read_header()
    builder = FFI()
    builder.cdef(HOST + glue_cdef(header))
    builder.set_source("etude_cpu._glue", PREAMBLE + glue_source(header))
    builder.emit_c_code(out)


if __name__ == "__main__":
    main(sys.argv[1])

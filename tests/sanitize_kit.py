"""The conformance kit over kernels built with a sanitizer; tests/sanitize.sh runs it.

    python tests/sanitize_kit.py address,undefined "LIBRARIES TO PRELOAD" [--kinds threads]

Only the workers load the sanitizer's runtime. What it reports ends a worker, and so is a CRASH of
the case. Values are judged as always. Before that, a kernel with a mistake that only a sanitizer
sees must fail: a sanitizer that is not there finds nothing either.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from etude_check.engine import check
from etude_check.worker.candidate import Candidate, prepare

#: Right values, and what no kernel may do: each writes where nobody but a sanitizer looks.
WRONG = {
    "address,undefined": """
        volatile float around[4];
        for (int64_t i = 0; i < n; i++)
            around[i % 8] = x[i]; /* past the end of the array, in the same frame */
        relu(&(struct call){x, y}, 0, n);
    """,
    "thread": "etude_parallel_for(ctx, relu, &(struct call){x, y}, n, (n + 31) / 32);",
}
SOURCE = """
#include <etude.h>
#include <unistd.h>
struct call { const float *x; float *y; };
static volatile int64_t calls;
static void relu(void *arg, int64_t begin, int64_t end)
{
    struct call *c = arg;
    usleep(2000); /* so that on a busy machine too another thread takes the next range */
    for (int64_t i = begin; i < end; i++, calls++) /* a race, where there are threads */
        c->y[i] = c->x[i] > 0 || c->x[i] != c->x[i] ? c->x[i] : 0;
}
int etude_relu_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    (void)a, (void)b;
    BODY
    return ETUDE_OK;
}
"""


def wrong(kind, folder):
    """The library of the kernel that is wrong in a way only this sanitizer sees."""
    source = Path(folder) / "relu.c"
    source.write_text(SOURCE.replace("BODY", WRONG[kind]))
    os.environ["CFLAGS"] = f"-fsanitize={kind} -fno-sanitize-recover=all -g -O1"
    return prepare(Candidate("source", str(source)))


def reported(library, kind):
    kinds = ("threads",) if kind == "thread" else ("tail",)
    report = check(library, ops=["relu"], dtypes=["float32"], kinds=kinds, level="smoke",
                   timeout=120)
    return any(r.verdict == "CRASH" for r in report.failures)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=list(WRONG))
    parser.add_argument("preload")
    parser.add_argument("--kinds", nargs="*")
    parser.add_argument("--ops", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        library = wrong(arguments.kind, folder)
        os.environ["LD_PRELOAD"] = arguments.preload  # for the processes started from here
        if not reported(library, arguments.kind):
            sys.exit(f"-fsanitize={arguments.kind} does not report a kernel that it should: "
                     f"nothing would be found")
    report = check(Candidate("backend", "cpu"), level="smoke", ops=arguments.ops,
                   kinds=arguments.kinds, jobs=arguments.jobs, timeout=120)
    counts = ", ".join(f"{n} {verdict}" for verdict, n in report.counts.items() if n)
    print(f"etude check cpu --level smoke, {report.environment['isa']}: {counts} in "
          f"{report.seconds:.0f} s")
    for record in report.failures:
        print(f"{record.case}: {record.verdict}: {record.message}")
    sys.exit(report.exit_status)


if __name__ == "__main__":
    main()

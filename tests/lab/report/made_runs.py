"""Runs of the lab made by hand: events as the runtime writes them, and a program counter per line.

The counter of line n of SOURCE is ``at(n)``, so no compiler is needed to test what reports say.
"""

import json

from etude_cuda.lab.events import parse
from etude_cuda.lab.report.record import build
from etude_cuda.lab.symbols import Frame, Symbols

NASTY = '</script><script>alert(1)</script> & "x" <b>'

SOURCE = """\
#include <cuda_runtime.h>
// a comment that says </script><script>alert(1)</script> & "x" <b>
__global__ void sum(const float *x, float *out, int n) {
    __shared__ float s[32];
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    s[threadIdx.x] = x[i];
    for (int k = 16; k > 0; k /= 2) {
        if (threadIdx.x < k) s[threadIdx.x] += s[threadIdx.x + k];
    }
    float first = s[0];
    out[blockIdx.x] = first;
    total[0] += first;
    __syncthreads();
}
__global__ void turn(const float *in, float *out, int n) {
    __shared__ float tile[32][32];
    tile[threadIdx.y][threadIdx.x] = in[threadIdx.x * n + threadIdx.y];
    __syncthreads();
    out[threadIdx.y * n + threadIdx.x] = tile[threadIdx.x][threadIdx.y];
}
int main() {
    float *d_x, *d_y;
    cudaMalloc(&d_x, 100 * sizeof(float));
    cudaMalloc((void **)&d_y, n);
    sum<<<2, 64>>>(d_x, d_y, 100);
    turn<<<1, dim3(32, 32)>>>(d_x, d_y, 32);
    cudaMemcpy(d_x, h_x, n, cudaMemcpyDeviceToHost);
    printf("%f", d_x[0]);
}
"""
FILE = "sum.cu"


def at(line):
    return hex(0x401000 + 16 * line)


def symbols():
    known = Symbols(None)
    count = SOURCE.count("\n") + 1
    known._chains = {0x401000 + 16 * n: (Frame(FILE, n, "f"),) for n in range(1, count)}
    return known


def launch(number=1, kernel="sum", line=25, grid=(2, 1, 1), block=(64, 1, 1), **more):
    return {"event": "launch", "launch": number, "kernel": kernel, "file": FILE, "line": line,
            "grid": list(grid), "block": list(block), "static_shared": 128, "dynamic_shared": 0,
            "seconds": 0.01, "threads": 128, "status": "ok", **more}


TURN = {"number": 2, "kernel": "turn", "line": 26, "grid": (1, 1, 1), "block": (32, 32, 1)}


def place(line, role="read", thread=(0, 0, 0, 1, 0, 0), **more):
    return {"role": role, "thread": list(thread) if thread else None, "pc": at(line), "stack": [],
            "size": 4, "atomic": False, "volatile": False, **more}


def thing(name="s", space="shared", size=128, offset=132, **more):
    return {"name": name, "space": space, "bytes": size, "offset": offset, "allocated_pc": None,
            **more}


def finding(kind, *places, object=None, scope="", launch=1, count=1, **detail):
    return {"event": "finding", "kind": kind, "launch": launch, "places": list(places),
            "object": object, "scope": scope, "count": count, "detail": detail}


def access(line, launch=1, space="global", op="load", requests=8, per=4, ideal=4, conflicts=0,
           step=4, **more):
    given = {"event": "access", "launch": launch, "pc": at(line), "space": space, "op": op,
             "size": 4, "requests": requests, "lanes": 32 * requests, "sectors": per * requests,
             "ideal": ideal * requests, "conflicts": conflicts * requests,
             "bytes": 128 * requests, "example": [step * i for i in range(32)]}
    return {**given, **more}


def block(line, warps=8, lanes=256, split=0, launch=1):
    return {"event": "block", "launch": launch, "pc": at(line), "warps": warps, "lanes": lanes,
            "split": split}


END = {"event": "end", "launches": 1, "accesses": 1234, "seconds": 0.1, "stopped": ""}


def text(*events):
    return "".join(json.dumps(e) + "\n" for e in events)


def log(*events):
    return parse(text(*events))


def report(*events, **fields):
    given = {"program": FILE, "texts": {FILE: SOURCE}, "symbols": symbols(), "card": "A100"}
    return build(log(launch(), *events, END), None, **{**given, **fields})


def told(*events):
    """The one finding of a run."""
    found = report(*events).findings
    assert len(found) == 1, [t.headline for t in found]
    return found[0]


RACE = finding("race", place(8, "write", (0, 0, 0, 17, 0, 0)), place(8, "read", (0, 0, 0, 1, 0, 0)),
               object=thing(offset=68), scope="block", count=31)


def of_everything():
    """A report with all that can be in one."""
    return report(
        launch(**TURN), RACE,
        finding("out-of-bounds", place(6, "read", (1, 0, 0, 40, 0, 0)),
                object=thing("", "global", 400, 416, allocated_pc=at(23))),
        finding("leak", object=thing("", "global", 400, 0, allocated_pc=at(23)), launch=0),
        access(6), access(17, 2, per=32, ideal=4, step=128),
        access(19, 2, "shared", per=0, ideal=0, conflicts=31, step=128), access(19, 2, op="store"),
        block(6), block(8, 40, 500, 30), block(17, 32, 1024, launch=2))

"""Writes a program that makes the calls of some cases: one text, for the lab and for a card.

It includes the student's file, so that findings are at the lines of that file. Each case has memory
of its own, freed when the case is over, so that a tool knows where every array ends. What the cases
are given lies in a file beside the program:

    program cases.bin            all cases
    program cases.bin 3 7        these

After each case it prints a line ``etude-watch 3 0``, or with the status that the kernel returned
and its words.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from etude.data.files import user_cache, write_atomically
from etude_cuda.watch.calls import At, Calls, CCall

SAID = re.compile(r"^etude-watch (\d+) (-?\d+) ?(.*)$", re.MULTILINE)

#: Names here begin with etude_watch or EtudeWatch: the student's file comes before, and may define
#: macros.
BEFORE = """\
#include <cuda_runtime.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define main etude_watch_main_of_the_file
"""
AFTER = """\
#undef main
#include "etude.h"
static char *etude_watch_data;

/* A pointer to whatever a kernel wants one to. */
struct EtudeWatchAt {
    char *at;
    template <class EtudeWatchType> operator EtudeWatchType *() const
    { return (EtudeWatchType *)at; }
};

/* The memory of one case, and the context that its kernels get. Plain C: a template of the standard
   library would be watched as the program's own, and the lab, which uses it too, with it. */
struct EtudeWatch {
    etude_context context;
    void **all;
    size_t count;

    EtudeWatch() : all(NULL), count(0)
    {
        memset(&context, 0, sizeof context);
        context.version = ETUDE_INTERFACE;
        context.threads = 1;
        context.scratch = etude_watch_scratch;
        context.impl = this;
        cudaStream_t made;
        etude_watch_must(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking));
        context.stream = made;
    }
    ~EtudeWatch()
    {
        for (size_t i = 0; i < count; i++)
            cudaFree(all[i]);
        free(all);
        cudaStreamDestroy((cudaStream_t)context.stream);
    }
    static void etude_watch_must(cudaError_t status)
    {
        if (status == cudaSuccess)
            return;
        fprintf(stderr, "the cases cannot be run: %s\\n", cudaGetErrorString(status));
        exit(9);
    }
    static void *etude_watch_scratch(etude_context *context, size_t bytes)
    {
        return ((EtudeWatch *)context->impl)->memory("scratch", bytes, -1).at;
    }
    /* bytes of the device, filled from the data at `from`, or left alone if that is below 0 */
    EtudeWatchAt memory(const char *name, size_t bytes, long long from)
    {
        void *made = NULL;
#ifdef __NVCC__
        etude_watch_must(cudaMalloc(&made, bytes ? bytes : 1));
#else /* findings of the lab call the memory by its name */
        etude_watch_must(::lab::allocate_device(&made, bytes ? bytes : 1, 1, name, {}));
#endif
        all = (void **)realloc(all, (count + 1) * sizeof *all);
        all[count++] = made;
        if (from >= 0 && bytes)
            etude_watch_must(cudaMemcpy(made, etude_watch_data + from, bytes,
                                        cudaMemcpyHostToDevice));
        return EtudeWatchAt{(char *)made};
    }
};
"""
MAIN = """
static int (*etude_watch_cases[])(EtudeWatch &) = {%s};

static void etude_watch_case(int number)
{
    EtudeWatch watch;
    int status = etude_watch_cases[number](watch);
    cudaError_t after = cudaStreamSynchronize((cudaStream_t)watch.context.stream);
    if (status == ETUDE_OK && after != cudaSuccess)
        status = ETUDE_FAILED;
    const char *words = after != cudaSuccess ? cudaGetErrorString(after) : watch.context.error;
    printf("\\netude-watch %%d %%d %%s\\n", number, status, status ? words : "");
    fflush(stdout);
}

int main(int count, char **words)
{
    FILE *file = count > 1 ? fopen(words[1], "rb") : NULL;
    if (!file) {
        fprintf(stderr, "the file of the cases cannot be read\\n");
        return 9;
    }
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    etude_watch_data = (char *)malloc(size + 1);
    rewind(file);
    if (fread(etude_watch_data, 1, size, file) != size)
        return 9;
    fclose(file);
    for (int i = 2; i < count; i++)
        etude_watch_case(atoi(words[i]));
    for (int i = 0; i < %d && count == 2; i++)
        etude_watch_case(i);
    free(etude_watch_data);
    return 0;
}
"""


@dataclass(frozen=True)
class Program:
    """The program of some cases: its source, what it reads, and the names of the cases."""

    source: Path
    data: bytes
    cases: tuple[str, ...]


def program(source: Path, cases: Mapping[str, Calls]) -> Program:
    """Write the program of the cases of a .cu file into the user's cache."""
    data, functions, kernels = bytearray(), [], {}
    for i, calls in enumerate(cases.values()):
        functions.append(_function(i, calls, data))
        kernels |= {c.symbol: f"etude_{c.type}_fn_{c.symbol.rpartition('_')[2]}"
                    for c in calls.calls}
    declared = "".join(f"extern \"C\" {kind} {symbol};\n" for symbol, kind in kernels.items())
    names = ", ".join(f"etude_watch_case_{i}" for i in range(len(functions)))
    text = (f"/* The cases of {source.name}, for a tool to watch. */\n{BEFORE}"
            f"#include {json.dumps(str(source.absolute()))}\n{AFTER}{declared}\n"
            + "\n".join(functions) + MAIN % (names, len(functions)))
    folder = user_cache() / "lab" / "watched"
    folder.mkdir(parents=True, exist_ok=True)
    # Of a name that stays, for programs are kept by their text and the names of their files.
    path = folder / f"{source.stem}-{_digest(str(source.absolute()), text)}.cu"
    write_atomically(path, text.encode())
    return Program(path, bytes(data), tuple(cases))


def statuses(output: str) -> dict[int, tuple[int, str]]:
    """Number of a case -> the status that its kernel returned and what it said, by what the program
    printed.
    """
    return {int(n): (int(status), words.strip()) for n, status, words in SAID.findall(output)}


def _function(number: int, calls: Calls, data: bytearray) -> str:
    """The calls of one case, one after the other until one fails; its content goes into ``data``.
    """
    lines = []
    for i, piece in enumerate(calls.pieces):
        at = -1
        if piece.content is not None:
            at = len(data)
            data += piece.content
        lines.append(f"    EtudeWatchAt p{i} = watch.memory("
                     f"{json.dumps(piece.name)}, {piece.size}, {at});")
    lines.append("    int status = ETUDE_OK;")
    for call in calls.calls:
        before, words = _arguments(call)
        lines.append("    if (status == ETUDE_OK) {")
        lines += [f"        {line}" for line in before]
        lines.append(f"        status = {call.symbol}(&watch.context, {', '.join(words)});")
        lines.append("    }")
    return (f"static int etude_watch_case_{number}(EtudeWatch &watch)\n{{\n"
            + "\n".join(lines) + "\n    return status;\n}\n")


def _arguments(call: CCall) -> tuple[list[str], list[str]]:
    """Declarations that stand before a call, and the words between its brackets."""
    before, words = [], []
    for i, value in enumerate(call.arguments):
        if isinstance(value, At):
            words.append(f"EtudeWatchAt{{p{value.piece}.at + {value.offset}}}")
        elif value is None:
            words.append("NULL")
        elif isinstance(value, tuple):
            before.append(f"const int64_t g{i}[] = {{{', '.join(map(str, value))}}};")
            words.append(f"g{i}")
        elif isinstance(value, float):
            words.append(_double(value))
        else:
            words.append(f"(int64_t){value}LL")
    return before, words


def _double(value: float) -> str:
    if math.isnan(value):
        return "(double)NAN"
    if math.isinf(value):
        return "(double)INFINITY" if value > 0 else "-(double)INFINITY"
    return repr(value)


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]

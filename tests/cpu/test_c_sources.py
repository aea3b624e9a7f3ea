"""The C files lean on one another in no circle, so that each can be read after those it needs."""

import pytest
from c_sources import CPU, circle, defines, leans, read

MADE = {
    "made.h": "void up(void);\nint down(int n);\n",
    "up.c": '#include "made.h"\n\nvoid up(void)\n{\n    down(1);\n}\n',
    "down.c": '#include "made.h"\n\nstatic void twice(void)\n{\n}\n\nint down(int n)\n{\n'
              '    twice(); /* up() is a comment */\n    return n + "up"[0];\n}\n',
}


def test_a_made_up_pair_of_files_leans_one_way():
    assert defines(MADE["down.c"]) == {"down"}
    assert leans(MADE) == {"made.h": set(), "up.c": {"made.h", "down.c"}, "down.c": {"made.h"}}
    assert circle(leans(MADE)) is None


@pytest.mark.parametrize(("file", "old", "new", "inside"), [
    ("down.c", "twice();", "up();", {"up.c", "down.c"}),
    ("down.c", "twice();", "void (*later)(void) = up;", {"up.c", "down.c"}),
    ("made.h", "void up(void);", '#include "down.c"', {"made.h", "down.c"}),
])
def test_a_circle_of_made_up_files_is_found(file, old, new, inside):
    assert old in MADE[file]
    found = circle(leans({**MADE, file: MADE[file].replace(old, new)}))
    assert set(found) == inside


def test_the_files_of_the_host_lean_on_one_another_in_no_circle():
    graph = leans(read(CPU / "host"))
    assert circle(graph) is None
    # What has to be seen: without it this test could pass on nothing.
    assert graph["context.c"] == {"host.h", "scratch.c", "threads.c"}
    assert graph["threads.c"] == {"host.h", "scratch.c"}
    assert graph["scratch.c"] == {"host.h"}


def test_the_kernels_lean_on_one_another_in_no_circle():
    sources = read(CPU)
    assert defines(sources["matmul.c"]) == {"etude_matmul", "etude_linear"}
    graph = leans(sources)
    assert circle(graph) is None
    assert {"gemm.h", "canvas.h"} <= graph["conv2d.c"]

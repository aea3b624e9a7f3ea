"""The C files lean on one another in no circle, so that each can be read after those it needs; and
what their comments name is there.
"""

import re
from pathlib import Path

import pytest
from c_sources import CPU, circle, defines, leans, read

ROOT = Path(__file__).parents[2]
FDLIBM = {"e_rem_pio2.c", "k_sin.c", "k_cos.c"}  # trig.h names where its polynomials come from

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
    assert graph["context.c"] == {"host.h", "keep.c", "scratch.c", "threads.c"}
    assert graph["threads.c"] == {"host.h", "scratch.c"}
    assert graph["scratch.c"] == {"host.h"}


def test_the_kernels_lean_on_one_another_in_no_circle():
    sources = read(CPU)
    assert defines(sources["matmul.c"]) == {"etude_matmul", "etude_linear"}
    graph = leans(sources)
    assert circle(graph) is None
    assert {"canvas.h", "gemm.h"} <= graph["conv2d.c"]


def named(text):
    """The files that comments name: with folders from the root of the repository, or alone."""
    comments = " ".join(re.findall(r"/\*.*?\*/", text, re.S))
    return set(re.findall(r"(?:[\w-]+/)*\w+\.(?:py|[ch])\b", comments))


def test_names_are_found_in_comments_alone():
    assert named("/* as in a/b.c; reads op.py */ x = g.c; /* and\n c.h. */") == {
        "a/b.c", "op.py", "c.h"}


def test_every_file_that_a_comment_names_exists():
    """Its own name on top, the reference, the counterpart, the headers."""
    files = [p for p in sorted(CPU.rglob("*")) if p.suffix in (".c", ".h")]
    known = {p.name for p in [*files, ROOT / "packages/etude/src/etude/include/etude.h"]} | FDLIBM
    missing = []
    for path in files:
        found = named(path.read_text())
        assert path.read_text().startswith(f"/* {path.name}"), path
        missing += [f"{path.name}: {name}" for name in found
                    if name not in known and not (ROOT / name).is_file()]
    assert missing == []

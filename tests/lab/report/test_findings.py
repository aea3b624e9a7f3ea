"""What the words say: both threads, both lines, the element, the missing barrier, the mistake."""

import made_runs as made
import pytest
from made_runs import at, finding, place, thing

from etude_cuda.lab.case import _pointer, declared
from etude_cuda.lab.events import KINDS
from etude_cuda.lab.words import order


def said(told):
    return " ".join([told.headline, told.what, *told.advice])


# ------------------------------------------------------------------ every kind


#: Not told as the runtime says them: from counters, or where the source says so as well.
JUDGED = ("uncoalesced", "bank-conflict", "branch-divergence", "barrier-in-branch")


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in JUDGED])
def test_every_kind_has_words_even_where_the_runtime_says_nothing_else(kind):
    told = made.told(finding(kind, launch=0))
    assert told.headline
    assert not told.headline.endswith(".")
    assert told.what.endswith((".", ".)"))
    assert told.advice
    assert "None" not in said(told)


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in (*JUDGED, "unsupported")])
def test_every_kind_names_the_line_and_quotes_it(kind):
    told = made.told(finding(kind, place(6), place(8, "write"), object=thing(offset=8)))
    assert (told.file, told.line) in ((made.FILE, 6), (made.FILE, 8))
    assert told.sites[0].quoted == "s[threadIdx.x] = x[i];"
    assert told.kernel == "sum"


# ------------------------------------------------------------------ threads and elements


def test_threads_have_as_many_coordinates_as_the_launch_has_dimensions():
    flat = made.told(made.RACE)
    assert flat.sites[0].who == "thread 17 of block 0"
    deep = made.report(made.launch(**made.TURN), finding(
        "uninitialized", place(19, thread=(0, 0, 0, 3, 4, 0)), object=thing(), launch=2))
    assert deep.findings[0].sites[0].who == "thread (3, 4) of block 0"
    assert made.told(finding("device-pointer", place(28, thread=None))).sites[0].who == "the host"


def test_an_element_is_named_by_the_dimensions_of_its_array():
    inside = finding("uninitialized", place(19), launch=1,
                     object=thing("tile", size=4096, offset=4 * (2 * 32 + 5),
                                  declared=[made.FILE, 16]))
    assert "tile[2][5] of tile[32][32] in shared memory" in made.told(inside).what
    outside = finding("out-of-bounds", place(8), object=thing(offset=132))
    assert "s[33], past the last element of s[32] in shared memory" in made.told(outside).what


@pytest.mark.parametrize(("text", "size", "extents"), [
    ("__shared__ float s[TILE][TILE + 1];", 16 * 17 * 4, (16, 17)),
    ("__shared__ float s[ROWS];", 8 * 4, (8,)), ("__shared__ double s[4][4];", 128, (4, 4)),
    ("__shared__ float s[N];", 64, ()), ("__shared__ float s[3][3];", 64, ()),
    ("float t[4];", 16, ())])
def test_the_extents_of_an_array_are_read_from_its_declaration(text, size, extents):
    lines = ["#define TILE 16", "constexpr int ROWS = 8;", text]
    assert declared(lines, 3, "s", size) == extents


def test_the_runtimes_own_sentence_is_told_where_it_has_one():
    where = {**place(25, "launch", None, pc=None), "file": made.FILE, "line": 25}
    refused = {**made.finding("launch-failed", where),
               "words": "kernel sum (launched at sum.cu:25) was not launched: its block has 2048 "
                        "threads; a block may have 1024."}
    told = made.told(refused)
    assert told.what == refused["words"].replace("kernel", "Kernel", 1)
    assert told.headline.endswith("fails: its block has 2048 threads; a block may have 1024")
    assert (told.file, told.line) == (made.FILE, 25)
    assert "at most 1024 threads" in said(told)


def test_a_sentence_that_begins_with_a_function_keeps_its_name():
    words_of = {"words": "cudaFree at sum.cu:27 was given a pointer that is none."}
    told = made.told({**made.finding("invalid-free", place(27, "free", None)), **words_of})
    assert told.what.startswith("cudaFree at")
    launch = {"words": "kernel sum (launched at sum.cu:25) failed, and the program never asked."}
    told = made.told({**made.finding("error-ignored", place(25, "launch", None)), **launch})
    assert told.headline == "an error of the launch of sum that was never asked for"


@pytest.mark.parametrize(("array", "index", "words"), [
    ("'float [18]'", 18, ["index 18 is outside of an array of type float [18]", "Off by one",
                          "It has 18 elements: the indices go from 0 to 17"]),
    ("'float [16][20]'", 16, ["16 elements, each a float[20]", "from 0 to 15"]),
    ("'int [4]'", -1, ["index -1 is outside", "guard for the first element"]),
    ("'int [4]'", 2**32 - 1, ["threadIdx.x is unsigned"])])
def test_an_index_that_leaves_a_declared_array_is_told_with_its_size(array, index, words):
    told = made.told(finding("out-of-bounds", place(8, "index"), array=array, index=index))
    for word in words:
        assert word in said(told)
    assert "address" not in said(told)


def test_page_locked_memory_that_leaks_wants_the_other_free():
    source = made.SOURCE.replace("cudaMalloc(&d_x, 100", "cudaMallocHost(&d_x, 100")
    for text, call in ((made.SOURCE, "cudaFree(d_x)"), (source, "cudaFreeHost(d_x)")):
        lost = finding("leak", launch=0, object=thing("", "global", 400, 0, allocated_pc=at(23)))
        assert f"Call {call} " in made.report(lost, texts={made.FILE: text}).findings[0].advice[0]


def test_what_was_freed_is_told_with_the_line_that_freed_it():
    told = made.told(finding("use-after-free", place(6), object=thing(
        "cudaMalloc", "global", 400, 0, allocated_pc=at(23), freed_pc="0x1", freed_stack=[at(27)])))
    assert "d_x is used after it was freed" in told.headline
    assert "freed at sum.cu:27" in told.what


def test_an_early_look_is_marked_where_the_host_looks():
    told = made.told(finding("unsynchronized-read", place(11, "write"), place(28, "read", None),
                             object=thing("d_x", "managed", 400, 0)))
    assert told.line == 28
    assert "thread 1 of block 0 writes d_x[0] at sum.cu:11" in told.what


def test_memory_that_a_function_allocates_has_the_name_that_the_caller_gives_it():
    assert _pointer("    float *d_x = to_device<float>(x, 64);") == "d_x"
    assert _pointer("d_x = upload(x);") == "d_x"
    assert _pointer("if (a == f(x)) return;") == ""
    assert _pointer("float *x = ramp(256), *y = filled(8);") == ""


def test_a_line_that_allocates_several_gives_none_of_them_its_name():
    assert _pointer("cudaMalloc(&a, n); cudaMalloc(&b, n);") == ""
    assert _pointer("CHECK(cudaMalloc((void **)&a, n * sizeof(float)));") == "a"
    assert _pointer("float *h = (float *)malloc(n);") == "h"


def test_a_pointer_is_called_as_the_line_that_allocated_it_calls_it():
    told = made.told(finding("out-of-bounds", place(6), object=thing(
        "", "global", 400, 400, allocated_pc=at(23))))
    assert "d_x[100]" in told.headline
    assert "d_x[100] in global memory, allocated at sum.cu:23" in told.what


# ------------------------------------------------------------------ races


def test_a_race_names_both_threads_and_the_barrier_between_read_and_write_of_one_line():
    told = made.told(made.RACE)
    assert "Thread 17 of block 0 writes s[17]" in told.what
    assert "thread 1 of block 0 reads s[17]" in told.what
    assert "__syncthreads() is missing between the read and the write of line 8" in said(told)
    assert told.headline == "a race on s[17] within a block"


TILES = """\
__global__ void other() { for (;;) ; }
__global__ void k(float *x) {
    __shared__ float s[64];
    LOOP
        s[threadIdx.x] = x[threadIdx.x];
        WAIT
        x[threadIdx.x] += s[63 - threadIdx.x];
    }
}
"""


def missing(loop, wait, *places, **detail):
    """What is advised about a race on s in TILES, written with this line 4 and this line 6."""
    source = TILES.replace("LOOP", loop).replace("WAIT", wait)
    found = finding("race", *places, object=thing(offset=4), scope="block", **detail)
    return made.report(found, texts={made.FILE: source}).findings[0].advice[0]


def test_the_missing_barrier_is_between_the_two_lines():
    write, read = place(5, "write"), place(7, "read")
    for places in ((write, read), (read, write)):
        assert "missing after line 5 and before line 7" in missing("{", "", *places)
    assert "missing after line 5 and before line 7" in missing("for (;;) {", "", write, read)


def test_a_barrier_that_stands_between_them_means_the_end_of_the_loop():
    for places in ((place(5, "write"), place(7, "read")), (place(7, "read"), place(5, "write"))):
        advice = missing("for (;;) {", "__syncthreads();", *places)
        assert "end of the loop: after line 7, before the next round comes to line 5" in advice


def test_the_order_that_the_runtime_saw_tells_the_end_of_a_loop():
    assert "at the end of the loop" in missing("while (x) {", "", place(5, "write"),
                                               place(7, "read"), first=at(7), second=at(5))


def test_a_barrier_that_only_others_pass_is_said_to_be_elsewhere():
    assert "the one that stands there is not on it" in missing(
        "{", "if (x) __syncthreads();", place(5, "write"), place(7, "read"))


@pytest.mark.parametrize(("after", "first"), [
    ("", "at the end of each round of the loop"),
    ("__syncthreads();", "between the read and the write of line 8")])
def test_a_step_of_a_reduction_waits_after_each_round_and_one_of_a_scan_within_it(after, first):
    lines = made.SOURCE.splitlines()
    lines[7] += after and f"  {after}"
    told = made.report(made.RACE, texts={made.FILE: "\n".join(lines)}).findings[0]
    assert first in told.advice[0]
    assert "read into a variable" in said(told)


def test_the_loop_around_a_line_may_have_no_braces_and_one_before_it_does_not_count():
    lines = made.SOURCE.splitlines()
    lines[6:9] = ["for (int k = 16; k > 0; k /= 2)", "s[threadIdx.x] += s[threadIdx.x + k];",
                  "__syncthreads();"]
    loop = made.report(made.RACE, texts={made.FILE: "\n".join(lines)}).findings[0]
    assert "at the end of each round of the loop" in loop.advice[0]
    lines[6] = "for (int k = 16; k > 0; k /= 2) { x; }"
    before = made.report(made.RACE, texts={made.FILE: "\n".join(lines)}).findings[0]
    assert "between the read and the write" in before.advice[0]


def test_within_a_warp_the_barrier_is_syncwarp_and_volatile_code_is_called_by_its_name():
    quiet = made.report(made.launch(2, block=(32, 1, 1)), finding(
        "race", place(8, "write"), place(8, "read"), object=thing(offset=4), scope="warp",
        launch=2))
    assert "__syncwarp() is missing" in quiet.findings[0].advice[0]
    told = made.told(finding("race", place(8, "write", volatile=True),
                             place(8, "read", volatile=True), object=thing(offset=4),
                             scope="warp"))
    assert "warp-synchronous volatile code" in told.headline
    assert "__syncwarp()" in said(told)
    assert "orders no threads" in told.what


def test_an_update_of_one_cell_wants_an_atomic_and_no_barrier():
    told = made.told(finding("race", place(12, "write"), place(12, "read"),
                             object=thing("total", "global", 4, 0), scope="grid"))
    assert "atomicAdd(&total[...]" in said(told)
    assert "__syncthreads" not in said(told)


def test_an_update_in_two_streams_wants_an_order_of_the_streams():
    told = made.told(finding("race", place(12, "write"), place(12, "read"),
                             object=thing("total", "global", 4, 0), scope="streams"))
    assert "cudaStreamWaitEvent" in told.advice[0]


def test_between_blocks_no_barrier_helps():
    told = made.told(finding("race", place(11, "write"), place(10, "read"),
                             object=thing("out", "global", 8, 0), scope="grid"))
    assert "between blocks" in told.headline
    assert "launch a second one" in said(told)


@pytest.mark.parametrize(("line", "alone"), [
    ("hist[x[i]]++;", True), ("sum += v;", True), ("*count += 1;", True), ("++n[0];", True),
    ("s[t] += s[t + k];", False), ("a = b + c;", False), ("if (a == b) x = 1;", False),
    ("if (t < k) s[t] += s[t + k];", False), ("for (int i = 0; i < n; i++) s[i] = 0;", False)])
def test_an_update_is_told_from_a_step_of_a_reduction(line, alone):
    assert order._lone_update(line) is alone


def test_the_same_finding_in_many_threads_is_told_once_with_its_count():
    other = finding("race", place(8, "write", (1, 0, 0, 5, 0, 0)), place(8, "read"),
                    object=thing(offset=20), scope="block", count=4)
    told = made.told(made.RACE, other)
    assert told.count == 35


# ------------------------------------------------------------------ barriers and shuffles


def test_barrier_divergence_says_who_waits_where():
    told = made.told(finding("barrier-divergence", waiting=[
        {"thread": [0, 0, 0, 0, 0, 0], "pc": at(13), "what": "__syncthreads()", "count": 32},
        {"thread": [0, 0, 0, 32, 0, 0], "pc": at(10), "what": "__syncthreads()", "count": 32}],
        finished=3))
    assert "Thread 0 of block 0 and 31 others wait in __syncthreads() at sum.cu:13" in told.what
    assert "Thread 32 of block 0" in told.what
    assert "3 threads returned" in told.what
    assert told.line == 13
    assert told.lines == [(made.FILE, 13), (made.FILE, 10)]


def test_a_shuffle_says_mask_lanes_and_source():
    told = made.told(finding("shuffle-inactive", place(8), mask="0xffffffff", active="0x0000ffff",
                             lane=15, source=31, function="__shfl_down_sync"))
    assert "__shfl_down_sync" in told.headline
    assert "lane 15 asks from lane 31" in told.what
    assert "0x0000ffff" in told.what


# ------------------------------------------------------------------ the commonest mistakes


def test_the_guard_that_is_missing_is_named_by_the_threads_and_the_elements():
    told = made.told(finding("out-of-bounds", place(6, thread=(1, 0, 0, 36, 0, 0)), object=thing(
        "", "global", 400, 400, allocated_pc=at(23))))
    assert "128 threads were launched for 100 elements" in told.what
    assert "if (i < n) with n = 100" in said(told)


def test_off_by_one_and_before_the_first_are_told_apart():
    over = made.told(finding("out-of-bounds", place(8), object=thing(offset=128)))
    assert "Off by one" in said(over)
    under = made.told(finding("out-of-bounds", place(8), object=thing(offset=-4)))
    assert "s[-1], before the first element" in under.what


def test_an_allocation_in_elements_is_called_bytes_for_elements():
    told = made.told(finding("out-of-bounds", place(6), object=thing(
        "", "global", 100, 100, allocated_pc=at(24))))
    assert "cudaMalloc takes bytes" in told.what
    assert "Bytes for elements" in said(told)
    assert "d_y" in told.what


def test_mistakes_are_named():
    for kind, words_of in {
            "host-pointer": "a host pointer in a kernel",
            "device-pointer": "a device pointer dereferenced on the host",
            "bytes-for-elements": "bytes for elements", "copy-direction": "the wrong direction",
            "unsynchronized-read": "the host reads before the device is done",
            "error-ignored": "never asked for"}.items():
        assert words_of in made.told(finding(kind, place(27, "call", None))).headline


def test_a_launch_that_fails_says_what_was_asked_and_the_limit():
    told = made.told(finding("launch-failed", launch=1, why="threads", asked=2048, limit=1024))
    assert (told.file, told.line) == (made.FILE, 25)
    assert "sum<<<2, 64>>>" in told.what
    assert "2048 were asked for, the limit is 1024" in told.what


def test_two_arrays_that_are_too_small_are_two_findings_on_one_line():
    first, second = (finding("out-of-bounds", place(12), object=thing(
        name, "global", 400, 400, allocated_pc=at(line))) for name, line in (("", 23), ("", 24)))
    report = made.report(first, second, first)
    assert [(t.line, t.count) for t in report.findings] == [(12, 2), (12, 1)]
    assert "d_x[100]" in report.findings[0].headline
    assert "d_y[100]" in report.findings[1].headline


def test_findings_of_host_and_device_come_in_the_order_of_the_program():
    def copied(line, order):
        return {**finding("copy-direction", place(line, "copy", None), launch=0), "order": order}

    wrong = {**made.RACE, "order": 2}
    report = made.report(copied(27, 3), wrong, copied(23, 1))
    assert [t.line for t in report.findings] == [23, 8, 27]


def test_errors_come_before_warnings_before_advice():
    found = made.of_everything().findings
    ranks = [("error", "warning", "advice").index(t.severity) for t in found]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}


# ------------------------------------------------------------------ results and ends


def passed_by(line):
    source = f"__global__ void k() {{\n{line}\n}}\n"
    waits = finding("barrier-in-branch", place(2, "barrier"), scope="block", waiting_threads=24,
                    returned=40)
    return made.report(waits, texts={made.FILE: source}).findings


def test_a_barrier_that_some_threads_pass_by_is_told_in_a_branch_and_not_behind_a_guard():
    (told,) = passed_by("if (t < 24) { a(); __syncthreads(); }")
    assert (told.severity, told.line) == ("advice", 2)
    assert "24 waited and 40 had returned" in told.what
    assert passed_by("if (t >= 24) return; __syncthreads();") == []


def test_a_result_that_nobody_reads_is_advice_and_names_the_pointer_and_its_launch():
    told = made.told(finding("unread-output", place(25, "launch", None), object=thing(
        "cudaMalloc", "global", 400, 0, allocated_pc=at(23))))
    assert (told.severity, told.line) == ("advice", 25)
    assert told.headline == "what sum writes to d_x is never read"
    assert (made.FILE, 23) in told.lines


def test_a_copy_of_bytes_for_elements_that_was_carried_out_is_advice():
    told = made.told(finding("bytes-for-elements", place(27, "copy", None), asked=100, have=400,
                             element=4, rest_is_read=True, object=thing(
                                 "cudaMalloc", "global", 400, 0, allocated_pc=at(23))))
    assert told.severity == "advice"
    assert "100 bytes of d_x[100]" in told.what
    assert "other 300 bytes" in told.what


def test_a_leak_of_a_program_that_ended_early_blames_the_end():
    leak = {"object": thing("", "global", 400, 0, allocated_pc=at(23)), "launch": 0}
    assert "Call cudaFree(d_x)" in said(made.told(finding("leak", **leak)))
    found = made.told(finding("leak", **leak, ended_early=2))
    early = said(found)
    assert found.severity == "advice"
    assert "Call cudaFree" not in early
    assert "Mend what made the program end with status 2" in early

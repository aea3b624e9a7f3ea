"""A race is shown by the smallest launch that has it, and by no other mistake."""

import made_runs as made
from made_runs import place, thing

from etude_cuda.lab import shrink

BIG = made.launch(grid=(12, 1, 1), block=(256, 1, 1))


def race(one=8, two=8):
    return made.finding("race", place(one, "write"), place(two, "read", (0, 0, 0, 0, 0, 0)),
                        object=thing(offset=4), scope="block")


def report_of(*events):
    return made.build(made.log(BIG, *events, made.END), None, program=made.FILE,
                      texts={made.FILE: made.SOURCE}, symbols=made.symbols())


def runs(threads, blocks=1, other=()):
    """A program that has its race from so many threads and blocks on, and what it was asked."""
    asked = []

    def again(only):
        asked.append(only)
        _, grid, block = only.split(":")
        gx, bx = int(grid.split(",")[0]), int(block.split(",")[0])
        found = [race()] if gx >= blocks and bx >= threads else list(other)
        small = made.launch(grid=(gx, 1, 1), block=(bx, 1, 1))
        return made.build(made.log(small, *found, made.END), None, program=made.FILE,
                          texts={made.FILE: made.SOURCE}, symbols=made.symbols())
    return again, asked


def test_the_smallest_launch_and_its_threads_are_named():
    report = report_of(race())
    again, asked = runs(threads=2)
    shrink.shrink(report, again)
    said = report.findings[0].shrunk
    assert "sum<<<1, 2>>> is the smallest launch found to show it (of <<<12, 256>>>)" in said
    assert "thread 1 of block 0 writes s[1] and thread 0 of block 0 reads s[1]" in said
    assert asked[0] == "1:1,1,1:256,1,1"
    assert said in report.text(300)


def test_a_race_between_blocks_keeps_two_of_them():
    report = report_of(race())
    shrink.shrink(report, runs(threads=64, blocks=2)[0])
    assert "sum<<<2, 64>>>" in report.findings[0].shrunk


def test_another_mistake_of_the_smaller_launch_does_not_count():
    report = report_of(race())
    other = [race(6, 8), made.finding("out-of-bounds", place(8), object=thing())]
    shrink.shrink(report, runs(threads=128, other=other)[0])
    assert "sum<<<1, 128>>>" in report.findings[0].shrunk


def test_a_race_that_no_smaller_launch_shows_and_a_run_that_fails_say_nothing():
    report = report_of(race())
    shrink.shrink(report, lambda only: None)
    assert report.findings[0].shrunk == ""


def test_a_runtime_that_runs_the_launch_as_it_was_shows_nothing():
    report = report_of(race())
    shrink.shrink(report, lambda only: report_of(race()))
    assert report.findings[0].shrunk == ""


def test_out_of_time_nothing_is_run():
    report = report_of(race())
    again, asked = runs(threads=2)
    shrink.shrink(report, again, seconds=0)
    assert asked == []


def test_only_races_are_made_smaller():
    report = report_of(made.finding("out-of-bounds", place(8), object=thing()))
    again, asked = runs(threads=1)
    shrink.shrink(report, again)
    assert asked == []

"""How threads, warps and blocks go on: no lockstep, and every way to wait for ever is told."""

import os
import signal
import subprocess
import time

import pytest

PROGRAM = "execution.cu"


@pytest.fixture
def case(run):
    return lambda *arguments, **more: run(PROGRAM, *arguments, **more)


# ---------------------------------------------------------------- barriers


@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_threads_that_returned_count_as_arrived_at_a_barrier(case, mode):
    ran = case("early_return", mode=mode)
    assert ran.output == "40 20\n"
    assert "barrier-divergence" not in ran.kinds


@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_branches_that_wait_at_different_barriers_are_reported_with_both_lines(case, mode):
    ran = case("two_barriers", mode=mode)
    [found] = ran.found("barrier-divergence")
    assert ran.marks(found) == ["FIRST", "SECOND"]
    assert "16 threads" in found["words"]
    assert ran.output == "cudaSuccess\n"  # as on a card, the barrier opens all the same


def test_a_barrier_counts_the_predicates_of_its_threads(case):
    assert case("votes").output == "32110\n"


def test_a_deadlock_is_told_as_a_table_of_who_waits_where(case):
    ran = case("barrier_in_a_branch")
    [found] = ran.found("deadlock")
    assert ran.marks(found) == ["SPINS", "WAITS"]
    assert [(w["count"], w["what"]) for w in found["detail"]["waiting"]] == [
        (1, "for memory to change"), (63, "at __syncthreads")]
    assert "kernel barrier_in_a_branch" in found["words"]
    # The context is lost: the next call fails too.
    assert ran.output == "cudaErrorLaunchFailure\ncudaErrorLaunchFailure\n"


# ---------------------------------------------------------------- spinning


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thread_that_spins_on_a_lock_lets_its_holder_go_on(case, workers):
    assert case("lock_by_all", LAB_WORKERS=str(workers)).output == "1024\n"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_block_that_spins_on_a_volatile_of_another_lets_that_one_begin(case, workers):
    ran = case("chain", 150, LAB_WORKERS=str(workers))
    assert (ran.output, ran.kinds) == ("cudaSuccess\n", [])


def test_a_block_that_waits_for_one_that_is_not_resident_is_a_deadlock(case):
    ran = case("chain", 700, LAB_CARD="T4")  # 40 SMs of 16 blocks
    assert ran.output == "cudaErrorLaunchFailure\n"
    [found] = ran.found("deadlock")
    assert found["detail"]["blocks_not_begun"] == 60
    assert "T4 holds 640 of this size at once" in found["words"]


def test_blocks_may_wait_for_all_others_as_long_as_all_are_resident(case):
    assert case("ticket_barrier").output == "cudaSuccess\n200\n"


def test_a_thread_that_looks_for_long_and_goes_on_is_no_deadlock(case):
    ran = case("looks_long")
    assert (ran.output, ran.kinds) == ("7\n", [])


def test_a_kernel_that_never_ends_is_ended_after_the_limit(case):
    ran = case("never_ends", LAB_TIMEOUT="0.5")
    assert ran.output == "cudaErrorLaunchTimeout\n"
    [found] = ran.found("never-ends")
    assert "kernel never_ends" in found["words"]
    assert found["places"][0]["pc"].startswith("0x")


def test_ctrl_c_ends_a_kernel_and_says_what_was_found_so_far(executable, tmp_path):
    events = tmp_path / "events"
    process = subprocess.Popen(
        [executable(PROGRAM, "fast"), "never_ends"], stderr=subprocess.PIPE, text=True,
        env=os.environ | {"LAB_EVENTS": str(events)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60)[1] == "lab: interrupted after 1 launches\n"
    assert process.returncode == 130
    assert '"stopped":"interrupted"' in events.read_text().splitlines()[-1]


# ---------------------------------------------------------------- shared memory and numbers


@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_shared_arrays_in_templates_and_device_functions_are_the_blocks_own(case, mode):
    assert case("shared_everywhere", mode=mode).output == "done\n"


def test_more_shared_memory_than_a_block_may_have_is_refused_by_name(case):
    ran = case("big_shared")
    assert ran.output == "cudaErrorLaunchOutOfResources\n"
    [found] = ran.found("launch-failed")
    assert ran.marks(found) == ["MORE"]
    assert "49600 bytes of shared arrays with more" in found["words"]


def test_warps_are_numbered_x_first(case):
    # 60 threads: lanes 0-31 belong together, and the second warp has 28.
    assert case("number_warps").output == "32 32 3228 3228\n"


def test_every_block_of_a_grid_runs_once_whatever_its_shape(case):
    for mode in ("fast", "inspect"):
        assert case("place_of_block", mode=mode).output == "0\n"


def test_threads_run_in_another_order_for_each_seed_in_inspect_mode(case):
    plain = [str(i) for i in range(64)]
    assert case("order").lines == plain
    assert case("order", mode="inspect", LAB_SEED="0").lines == plain
    first, again, other = (case("order", mode="inspect", LAB_SEED=s).lines for s in "112")
    assert first == again
    assert first not in (plain, other)
    assert sorted(first) == sorted(plain)


# ---------------------------------------------------------------- warps


@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_a_shuffle_from_a_lane_that_returned_is_reported(case, mode):
    ran = case("early_lane", mode=mode)
    [found] = ran.found("shuffle-inactive")
    assert ran.marks(found) == ["READS"]
    assert "has returned" in found["words"]


def test_a_mask_that_leaves_out_its_caller_is_reported(case):
    ran = case("left_out")
    [found] = ran.found("shuffle-mask")
    assert ran.marks(found) == ["MASK"]
    assert "0x0000ffff" in found["words"]
    assert ran.output == "cudaSuccess\n3\n"


def test_a_mask_that_names_lanes_which_wait_elsewhere_is_reported_with_both_lines(case):
    ran = case("half_comes")
    [found] = ran.found("shuffle-mask")
    assert ran.marks(found) == ["ELSEWHERE", "VOTES"]
    assert ran.output == "cudaSuccess\n"


@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_activemask_is_the_lanes_of_the_same_branch(case, mode):
    assert case("activemask_in_branches", mode=mode).output == "1200 2012\n"


def test_halves_of_a_warp_synchronise_apart(case):
    assert case("sync_of_halves").output == "5 30\n"


# ---------------------------------------------------------------- grids


@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_a_grid_synchronises_after_a_cooperative_launch(case, mode):
    ran = case("whole_grid", 50, mode=mode)
    assert ran.output == "cudaSuccess\n3250\n"


def test_a_cooperative_launch_of_more_blocks_than_fit_is_refused(case):
    ran = case("whole_grid", 700, LAB_CARD="T4")
    assert ran.lines[0] == "cudaErrorCooperativeLaunchTooLarge"
    [found] = ran.found("launch-failed")
    assert "T4 holds 640 of this size" in found["words"]


def test_a_grid_waits_for_ever_for_a_block_that_has_returned(case):
    ran = case("part_of_grid")
    [found] = ran.found("deadlock")
    assert ran.marks(found) == ["ALL"]
    assert "1 blocks have ended" in found["words"]
    assert ran.output == "cudaErrorLaunchFailure\n"


def test_grid_sync_without_a_cooperative_launch_fails_at_its_line(case):
    ran = case("grid_sync_alone")
    [found] = ran.found("launch-failed")
    assert ran.marks(found) == ["GRID"]
    assert ran.output == "cudaErrorLaunchFailure\n"


# ---------------------------------------------------------------- output and faults


def test_what_a_kernel_prints_appears_when_the_host_waits(case):
    lines = case("says").lines
    assert lines[0] == "before"
    assert sorted(lines[1:5]) == [f"thread {t} of block {b}" for t in "01" for b in "01"]
    assert lines[5:] == ["after", "a line without numbers"]


def test_what_a_kernel_printed_is_lost_if_the_host_never_waits(case):
    ran = case("says_in_vain")
    assert ran.output == ""
    assert "4 line(s) that kernels printed never appeared" in ran.errors


def test_a_failed_assertion_names_the_thread_and_the_line(case):
    ran = case("asserts")
    [found] = ran.found("assert")
    assert ran.marks(found) == ["ASSERT"]
    assert found["places"][0]["thread"] == [0, 0, 0, 4, 0, 0]
    assert ran.output == "cudaErrorAssert\n"


def test_a_trap_ends_the_launch_at_its_line(case):
    ran = case("traps")
    assert ran.marks(ran.found()[0]) == ["TRAP"]
    assert ran.output == "cudaErrorLaunchFailure\n"


def test_a_null_pointer_in_a_kernel_is_an_error_that_stays_until_the_device_is_reset(case):
    ran = case("through_null")
    [found] = ran.found("out-of-bounds")
    assert "null pointer" in found["words"]
    assert ran.lines == ["cudaSuccess", "cudaErrorIllegalAddress", "cudaErrorIllegalAddress",
                         "cudaSuccess"]


def test_a_division_by_zero_and_a_stack_that_is_used_up_name_the_kernel(case):
    assert "kernel divides" in case("divides").found()[0]["words"]
    ran = case("recurses")
    assert "KiB of stack" in ran.found()[0]["words"]
    assert ran.output == "cudaErrorIllegalAddress\n"


def test_a_product_and_a_sum_are_not_contracted_unless_fmaf_is_written(case):
    nothing, error = map(float, case("contracts").output.split())
    assert (nothing, error != 0) == (0, True)


def test_a_child_of_fork_starts_workers_of_its_own(case):
    lines = case("fork", LAB_WORKERS="2").lines
    assert sorted(lines) == ["child 12800", "parent 12800"]

"""Which gradients travel together, and how a bucket adds up. No MPI is needed."""

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from etude_mpi.buckets import Bucket, planned


def parameter(*shape, dtype="float32"):
    return SimpleNamespace(shape=shape, dtype=np.dtype(dtype))


def test_buckets_are_filled_from_the_last_parameter_on():
    found = planned([parameter(10), parameter(10), parameter(10)], limit=80)
    assert [b.members for b in found] == [(2, 1), (0,)]


def test_one_large_gradient_travels_alone():
    found = planned([parameter(1), parameter(1000), parameter(1)], limit=100)
    assert [b.members for b in found] == [(2,), (1,), (0,)]


def test_a_bucket_has_one_dtype():
    found = planned([parameter(2), parameter(2, dtype="float64"), parameter(2)])
    assert [(b.members, b.array.dtype.name) for b in found] == [
        ((2,), "float32"), ((1,), "float64"), ((0,), "float32")]


@given(st.lists(st.lists(st.integers(0, 5), max_size=3), max_size=9), st.integers(1, 200))
def test_every_parameter_is_in_one_bucket_which_is_no_larger_than_allowed(shapes, limit):
    parameters = [parameter(*shape) for shape in shapes]
    found = planned(parameters, limit)
    assert [i for b in found for i in b.members] == list(reversed(range(len(shapes))))
    for bucket in found:
        size = sum(int(np.prod(shapes[i])) * 4 for i in bucket.members)
        assert size <= limit or len(bucket.members) == 1


def test_a_sum_over_ranks_is_weighted_and_knows_who_has_no_gradient():
    first, second = [Bucket((1, 0), ((2, 2), (3,)), np.float64) for _ in range(2)]
    first.put(1, np.ones((2, 2)), 0.75)
    second.put(1, np.full((2, 2), 5.0), 0.25)
    assert first.waiting == {0}
    first.close()
    second.close()
    first.array += second.array
    sums = first.sums()
    assert list(sums) == [1]
    assert sums[1].tolist() == [[2, 2], [2, 2]]


def test_a_bucket_forgets_the_step_before():
    bucket = Bucket((0, 1), ((2,), (1,)), np.float32)
    bucket.put(0, np.ones(2, np.float32), 1.0)
    bucket.put(1, np.ones(1, np.float32), 1.0)
    bucket.open()
    bucket.put(0, np.full(2, 3, np.float32), 1.0)
    bucket.close()
    assert {i: a.tolist() for i, a in bucket.sums().items()} == {0: [3, 3]}

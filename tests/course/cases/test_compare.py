"""Whether an answer is right: values, shapes, dtypes, and a tolerance relative to the largest."""

import numpy as np
import pytest

from etude_course.cases.compare import difference

X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


@pytest.mark.parametrize(("expected", "got"), [
    (X, X.copy()), (X, X * np.float32(1 + 1e-6)), (3, 3), (3, np.int64(3)), (2.0, 2),
    (np.float32(2), 2.0), (np.array(2.0), 2.0), (True, np.True_), ("a", "a"), (None, None),
    ((1, 2), [1, 2]), ([X, {"loss": 1.0}], [X, {"loss": 1.0}]), (1 << 80, 1 << 80),
    (np.array([np.nan, np.inf]), np.array([np.nan, np.inf])), (np.zeros((0, 3)), np.zeros((0, 3))),
])
def test_what_is_right_passes(expected, got):
    assert difference(expected, got) is None


@pytest.mark.parametrize(("expected", "got", "said"), [
    (X, X.astype(np.float64), "the dtype is float64, expected is float32"),
    (X, X[:1], "the shape is [1, 2], expected is [2, 2]"),
    (X, X.tolist(), "a list of 2 was returned, expected is a float32 array of shape [2, 2]"),
    (X, None, "None was returned"),
    (3, 3.0, "a float was returned, expected is an int"),
    (3, True, "a bool was returned, expected is an int"),
    (True, 1, "an int was returned, expected is a bool"),
    ("a", "b", "another value is expected"),
    ("a", 1, "an int was returned, expected is a str"),
    (None, 0, "an int was returned, expected is None"),
    ([1, 2], [1], "a list of 1 was returned, expected is a list of 2"),
    ({"a": 1}, {}, "the key 'a' is missing"),
    ({"a": 1}, {"a": 1, "b": 2}, "the key 'b' should not be there"),
    (1.0, float("nan"), "another value is expected"),
    (1 << 80, 1 << 81, "another value is expected"),
])
def test_what_is_wrong_is_named(expected, got, said):
    assert said in difference(expected, got).message


def test_nan_is_right_only_where_it_is_expected():
    assert difference(np.array([1.0, np.nan]), np.array([np.nan, np.nan])).wrong.tolist() == [
        True, False]
    assert difference(np.array([1]), np.array([2]), "exact").wrong.tolist() == [True]
    assert difference(np.array([1.0, np.nan]), np.array([1.0, np.nan]), "exact") is None


def test_the_part_that_is_wrong_is_pointed_at():
    found = difference([1, {"loss": X}], [1, {"loss": -X}])
    assert found.path == "[1]['loss']"
    assert found.message == "4 of 4 elements are wrong"


def test_the_tolerance_is_relative_to_the_largest_expected_number():
    large = np.array([1e6, 1.0])
    assert difference(large, large + 1e-3, 1e-8) is None
    assert difference(large, large + 1e-3, "float64") is not None
    assert difference(np.array([0.0, 0.0]), np.array([0.0, 1e-3]), 1e-8) is not None


def test_infinity_of_the_other_sign_is_wrong():
    assert difference(np.array([np.inf]), np.array([-np.inf]), 0.5) is not None
    assert difference(np.array([1.0]), np.array([np.inf]), 0.5) is not None

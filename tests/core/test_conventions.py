"""Lines of conventions: what they may hold, and when a result is what a line says."""

import numpy as np
import pytest

from etude import TABLE
from etude.core.conventions import left_open, read, wrong

F32, F64, I64 = map(np.dtype, ("float32", "float64", "int64"))


def line(text, op="softmax"):
    (found,) = read(op, text)
    return found


def test_a_line_has_a_call_a_result_and_a_reason():
    said = line("softmax([nan, 0, ...],   dim=0) -> [nan, ...]  # one NaN spoils its row")
    assert said.text == "softmax([nan, 0, ...], dim=0) -> [nan, ...]"
    assert said.remark == "one NaN spoils its row"
    assert (said.attrs, said.error, said.dotted) == ({"dim": 0}, "", True)


def test_dots_stand_for_any_number_of_the_entry_before_and_fill_a_result():
    said = line("softmax([nan, 0, ...]) -> [nan, ...]")
    (x,), (y,) = said.given(TABLE["softmax"], F32, 4), said.wanted([(5,)], 4)
    assert np.array_equal(x, np.array([np.nan, 0, 0, 0, 0], np.float32), equal_nan=True)
    assert y.shape == (5,)
    assert np.isnan(y.astype(float)).all()
    (x,) = line("softmax([[0, ..., inf], [0, -inf, ...]]) -> _").given(TABLE["softmax"], F64, 2)
    assert x.tolist() == [[0, 0, np.inf], [0, -np.inf, -np.inf]]
    (y,) = line("cumsum([0, ..., 1, ...], dim=0) -> [0, ..., 1, ...]", "cumsum").wanted([(6,)], 3)
    assert y.tolist() == [0, 0, 0, 1, 1, 1], "several dots in a result: the number of the call"


def test_the_numbers_of_a_line_choose_its_dtypes():
    amax, argmax, exp = TABLE["amax"], TABLE["argmax"], TABLE["exp"]
    assert line("amax([1, 2]) -> 2", "amax").dtypes(amax) == [I64, F32, F64]
    assert line("amax([1, nan]) -> nan", "amax").dtypes(amax) == [F32, F64]
    assert line("amax([1.0]) -> 1", "amax").dtypes(amax) == [F32, F64]
    assert line("amax(int64([1, 2])) -> 2", "amax").dtypes(amax) == [I64]
    assert line("amax([9007199254740993]) -> 0", "amax").dtypes(amax) == [I64]
    assert line("exp(1e300) -> inf", "exp").dtypes(exp) == [F64]
    assert line("argmax([True, False]) -> 0", "argmax").dtypes(argmax) == [np.dtype(bool)]


def test_an_array_of_one_dtype_only_gets_that():
    embedding = TABLE["embedding"]
    index, weight = line("embedding([0], [[1]]) -> [[1]]", "embedding").given(embedding, F32)
    assert (index.dtype, weight.dtype) == (I64, F32)
    attention = TABLE["scaled_dot_product_attention"]
    for mask, dtype in (("[[True]]", np.dtype(bool)), ("[[-inf]]", F32)):
        call = line(f"f([[1]], [[1]], [[1]], {mask}) -> [[1]]", attention.name)
        assert call.given(attention, F32)[3].dtype == dtype
        assert call.text.startswith("f(")
        assert call.of(attention).startswith("scaled_dot_product_attention(")


def test_a_zero_has_the_sign_that_it_is_written_with():
    y = np.array([0.0, -0.0])
    assert not wrong(y, np.array([0, 0], object)).any(), "a 0 is either"
    assert wrong(y, np.array([-0.0, -0.0], object)).tolist() == [True, False]
    assert wrong(y, np.array([0.0, 0.0], object)).tolist() == [False, True]
    assert not wrong(np.array([0]), np.array([0.0], object)).any(), "int64 has one"


def test_nan_equals_nan_alone_and_what_is_left_open_is_never_wrong():
    (want,) = line("softmax([0]) -> [nan, inf, _, 1]").wanted([(4,)])
    assert left_open(want).tolist() == [False, False, True, False]
    for y, off in (([np.nan, np.inf, 5, 1], []), ([0, np.inf, 5, 1], [0]),
                   ([np.nan, -np.inf, np.nan, 1], [1]), ([np.nan, np.inf, 5, np.nan], [3])):
        assert np.flatnonzero(wrong(np.array(y, float), want)).tolist() == off
    (whole,) = line("softmax([0]) -> _").wanted([(2, 3)])
    assert not wrong(np.ones((2, 3)), whole).any()


def test_an_empty_array_is_written_by_its_shape():
    x, y = line("matmul(empty(2, 0), empty(0, 3)) -> _", "matmul").given(TABLE["matmul"], F32)
    assert (x.shape, y.shape, x.dtype) == ((2, 0), (0, 3), F32)
    (x,) = line("amax([[], []]) -> ShapeError", "amax").given(TABLE["amax"], F32)
    assert x.shape == (2, 0)


def test_what_is_indented_more_goes_on_with_the_line_before():
    found = read("softmax", """
        softmax([1, 2],
            dim=0) -> [nan, nan]
            # for a reason
        f([]) -> []""")
    assert [said.text for said in found] == ["softmax([1, 2], dim=0) -> [nan, nan]",
                                             "f([]) -> []"]
    assert found[0].remark == "for a reason"


@pytest.mark.parametrize(("text", "why"), [
    ("softmax([1])", "does not say what comes out"), ("softmax([1]) ->", "does not say"),
    ("relu([1]) -> [1]", "must call softmax"), ("softmax -> 1", "must call softmax"),
    ("softmax([x]) -> [1]", "'x' means nothing here"), ("softmax([1) -> 1", "cannot be read"),
    ("softmax(open('f')) -> 1", "is no literal"), ("softmax([1 + 1]) -> 1", "cannot be read"),
    ("softmax(empty(2)) -> 1", "a size that is 0")])
def test_a_line_that_says_none_is_refused(text, why):
    with pytest.raises(ValueError, match=why) as error:
        read("softmax", text)
    assert "softmax([0, nan]) -> [0, nan]" in str(error.value), "and told how one looks"


def test_a_row_collects_its_lines():
    relu = TABLE["relu"]
    before = relu.conventions
    relu.convention("relu([5]) -> [5]")
    try:
        assert [c.text for c in relu.conventions] == [*(c.text for c in before),
                                                      "relu([5]) -> [5]"]
    finally:
        relu._stated.pop()
        del relu.conventions

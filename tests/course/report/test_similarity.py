"""Winnowing finds what was copied, renamed or not, and nothing in answers written apart."""

import random

from etude_course.report.similarity import WINDOW, K, between, identical, left_out, prints, to_ours

STARTER = {"answer.py": "def variance(x):\n    raise NotImplementedError\n"}
ONE = """
def variance(x):
    # the mean of squares
    total, n = 0.0, len(x)
    for value in x:
        total += value
    mean = total / n
    squares = 0.0
    for value in x:
        squares += (value - mean) ** 2
    return squares / n
"""
RENAMED = """
def variance(numbers):
    s, count = 0.0, len(numbers)   # sum
    for v in numbers:
        s += v
    m = s / count
    q = 0.0

    for v in numbers:
        q += (v - m) ** 2
    return q / count
"""
OTHER = """
import numpy as np
def variance(x):
    centred = np.subtract(x, np.mean(x, axis=-1, keepdims=True))
    return np.einsum("ij,ij->i", centred, centred) / x.shape[-1]
"""


def alike(**texts):
    files = {who: {"answer.py": text} for who, text in texts.items()}
    return {(p.first, p.second): p.part for p in between(files, STARTER)}


def test_a_copy_with_other_names_and_comments_is_found():
    found = alike(a=ONE, b=RENAMED, c=OTHER)
    assert found == {("a", "b"): 1.0}


def test_part_of_a_text_is_found_in_a_longer_one():
    assert alike(a=ONE, b=ONE + OTHER, c=OTHER)[("a", "b")] == 1.0


def test_what_the_starter_holds_counts_for_nobody():
    files = dict.fromkeys("abcdef", STARTER)
    assert between(files, STARTER) == []


def test_what_a_third_of_the_class_wrote_counts_for_nobody():
    assert alike(**{f"s{n}": ONE for n in range(12)}) == {}


def test_a_copy_that_has_gone_round_half_the_class_is_listed_and_who_was_left_out_is_said():
    files = {f"s{n:02}": {"answer.py": ONE if n < 7 else OTHER + f"x{n} = [{'1, ' * n}]\n"}
             for n in range(19)}
    copies = tuple(f"s{n:02}" for n in range(7))
    [same] = identical(files, STARTER)
    assert (same.file, same.whose, same.renamed) == ("answer.py", copies, False)
    assert set(copies) <= set(left_out(files, STARTER))


def test_the_same_file_is_told_from_one_with_other_names_and_a_starter_is_nobodys():
    files = {"a": ONE, "b": "# mine\n" + ONE, "c": RENAMED, "d": STARTER["answer.py"],
             "e": STARTER["answer.py"], "f": ""}
    found = identical({who: {"answer.py": text} for who, text in files.items()}, STARTER)
    assert [(s.whose, s.renamed) for s in found] == [(("a", "b", "c"), True), (("a", "b"), False)]


def test_a_shared_run_of_tokens_always_leaves_a_shared_print():
    words = ["if", "else", "while", "for", "in", "not", "and", "or", "is", *"+-*/%()[]{},:=<>@"]
    rng = random.Random(3)
    for _ in range(200):
        run = [rng.choice(words) for _ in range(K + WINDOW - 1)]
        first, second = ([rng.choice(words) for _ in range(9)] for _ in range(2))
        one, two = ({"t": " ".join([*other, *run, *other[::-1]])} for other in (first, second))
        assert prints(one) & prints(two)


def test_a_copy_of_the_solution_is_named():
    files = {"a": {"answer.py": RENAMED}, "b": {"answer.py": OTHER}}
    [pair] = to_ours(files, STARTER, {"the solution": {"answer.py": ONE}})
    assert (pair.first, pair.second, pair.part) == ("a", "the solution", 1.0)


def test_c_is_compared_by_its_own_tokens():
    text = "int f(const float *x, float *y, int n)\n{\n" + "".join(
        f"    for (int i = {n}; i < n; i++) y[i] += x[i] * {n}.0f - y[i];\n" for n in range(4))
    renamed = text.replace("x[", "input[").replace("*x", "*input").replace("int f", "int mine")
    found = between({"a": {"k.c": text}, "b": {"k.c": "/* mine */\n" + renamed}}, {})
    assert [p.part for p in found] == [1.0]


def test_too_little_text_says_nothing():
    assert alike(a="x = 1\n", b="y = 2\n") == {}

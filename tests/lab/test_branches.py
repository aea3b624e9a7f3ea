"""A barrier in a branch is told apart from a barrier behind a guard, by the source."""

import pytest

from etude_cuda.lab.branches import in_branch

BARRIER = "__syncthreads();"


def kernel(body):
    return f"__global__ void before() {{ return; }}\n__global__ void k(int n) {{ {body} }}"


@pytest.mark.parametrize(("body", "is_in_branch"), [
    (f"if (t < n) {{ a(); {BARRIER} b(); }}", True),
    (f"if (t < n) {BARRIER}", True),
    (f"if (t >= n) {{ a(); }} else {{ {BARRIER} }}", True),
    (f"if (t >= n) a(); else {BARRIER}", True),
    (f"for (int s = n; s > 0; s /= 2) if (t < s) {{ s[t] += s[t + n]; {BARRIER} }}", True),
    (f"if (t < n) {{ for (;;) {{ {BARRIER} }} }}", True),
    (f"if (i >= n) return; {BARRIER}", False),
    (f"if (i >= n) {{ return; }} if (i > 3) {{ {BARRIER} }}", False),
    (f"for (;;) {{ {BARRIER} }}", False),
    (f"if (t < n) {{ a(); }} {BARRIER}", False),
    (f"if constexpr (N > 3) {{ {BARRIER} }}", False),
    (f"{{ {BARRIER} }}", False),
    ("if (t < n) { WAIT(); }", False),
])
def test_a_barrier_in_a_branch_is_known_by_what_stands_around_it(body, is_in_branch):
    assert in_branch(kernel(body), 2) is is_in_branch


def test_a_line_that_is_not_there_has_no_barrier():
    assert not in_branch("", 7)

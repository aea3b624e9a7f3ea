"""The likely mistake is named where it fits all that failed, and nothing that passed."""

import textwrap

import pytest

from etude_check.engine import check
from etude_check.judge import runner
from etude_check.report import summary
from etude_check.worker.candidate import Candidate


@pytest.fixture
def failing(tmp_path):
    """Checks a column of one op, whose body is given, and returns what its report shows of it."""
    def run(op, signature, body, **options):
        path = tmp_path / "column.py"
        path.write_text("import numpy as np\nimport etude\nfrom etude import TABLE\n"
                        f"@etude.implements('{op}')\ndef {op}({signature}):\n"
                        + textwrap.indent(body, "    "))
        report = check(Candidate.parse(module=path), ops=[op], **{"level": "smoke", **options})
        [one] = summary.failing(report)
        return one

    return run


def test_half_precision_is_not_the_mean(failing):
    one = failing("matmul", "x, y", "h = np.float16\n"
                  "return np.matmul(x.astype(h), y.astype(h)).astype(x.dtype)",
                  kinds=["0d", "tail", "layout"])
    assert "mean" not in one.likely
    assert one.first.kind != "bias"
    assert one.first.index is not None
    assert not [m for m, *_ in one.others if "truncated" in m]


def test_a_maximum_from_zero_is_not_said_to_overflow(failing):
    one = failing("softmax", "x, *, dim=-1",
                  "top = np.maximum(x.max(dim, keepdims=True, initial=0), 0)\n"
                  "e = np.exp(x - top)\nreturn e / e.sum(dim, keepdims=True)", level="full",
                  kinds=["tail", "special"])
    assert "maximum starts at 0" in one.likely
    assert "overflow" not in one.likely


def test_zeros_in_some_cases_are_zeros_in_those_cases(failing):
    one = failing("exp", "x", "return np.zeros_like(x) if x.size > 100 else np.exp(x)",
                  kinds=["tail", "layout"])
    assert one.likely == "it returns zeros in this case"
    everywhere = failing("exp", "x", "return np.zeros_like(x)", kinds=["tail"])
    assert everywhere.likely == "it returns zeros"


@pytest.mark.parametrize(("op", "signature", "body"), [
    ("relu", "x", "return np.abs(x)"),
    ("softmax_backward", "grad, y, *, dim=-1", "return grad * y"),
    ("cumsum", "x, *, dim", "return np.cumsum(x, axis=-1)"),
    ("maximum", "x, y", "return np.fmax(x, y)"),
])
def test_what_only_one_case_looks_like_is_not_named(failing, op, signature, body):
    one = failing(op, signature, body, kinds=["0d", "tail", "special"])
    assert one.likely == ""


def test_a_few_wrong_elements_are_not_named_after_what_they_happen_to_equal(failing):
    one = failing("relu", "x", "y = np.maximum(x, 0)\nreturn y if x.size > 2 else y * 0",
                  kinds=["0d", "tail"])
    assert "zeros" not in one.likely


def test_a_search_for_the_mistake_that_fails_changes_no_verdict(tmp_path, monkeypatch):
    def broken(*_):
        raise KeyError("rubbish")

    (tmp_path / "column.py").write_text("import etude, numpy as np\n@etude.implements('exp')\n"
                                        "def exp(x):\n    return np.exp(x) * 2\n")
    found = []
    for broken_too in ("suspects", "explain", ""):
        with monkeypatch.context() as patch:
            if broken_too:
                patch.setattr(runner, broken_too, broken)
            found.append(check(Candidate.parse(module=tmp_path / "column.py"), ops=["exp"],
                               kinds=["tail", "0d"], level="smoke"))
    for report in found[:2]:
        assert [r.verdict for r in report.records] == [r.verdict for r in found[2].records]
        assert report.notes == ["likely mistakes of exp may be missing: looking for them raised "
                                "KeyError: 'rubbish'"]
    assert found[2].notes == []

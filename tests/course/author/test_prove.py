"""The proof of an assignment finds what is wrong with it."""

import pytest

from etude_course.author.prove import prove
from etude_course.source.source import Source


def wrong(source, **options):
    return {p.what: "\n".join(p.wrong) for p in prove(source, **options) if p.wrong}


def test_the_small_assignment_is_in_order(small):
    proofs = prove(small)
    assert not [p for p in proofs if p.wrong]
    points = {p.what: p.points for p in proofs}
    assert points == {"nothing handed in": 0, "empty files": 0, "the starter": 0,
                      "a syntax error": 0, "a pretender that returns nothing": 0,
                      "a pretender that returns its argument": 0,
                      "a pretender that returns zero": 0,
                      "a pretender that raises ValueError": 0,
                      "a pretender that raises TypeError": 0,
                      "the cases": 0, "the solution": 5, "mutant squared": 2,
                      "mutant empty-is-fine": 3}


def changed(written, name, *edits):
    folder = written()
    text = (folder / name).read_text()
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    (folder / name).write_text(text)
    return Source.read(folder)


def test_a_check_that_only_wants_an_exception_is_refused(written):
    source = changed(written, "checks.py", (
        'yield "a list", ([int(n) for n in rng.integers(1, 9, 3)],)', 'yield "empty", ([],)'))
    found = wrong(source)
    assert "double-refuses gives 2 points" in found["a pretender that raises ValueError"]


def test_a_check_that_returning_the_argument_passes_is_refused(written):
    source = changed(written, "checks.py", ("(rng.normal(size=n).astype(np.float32) + 5,)",
                                            "(np.zeros(n, np.float32),)"))
    found = wrong(source)
    assert "double-values gives 3 points" in found["a pretender that returns its argument"]
    assert "double-values gives its points all the same" in found["mutant squared"]


def test_an_answer_outside_of_the_marks_is_refused(written):
    source = changed(written, "solution/small.py", (
        "    # BEGIN SOLUTION\n    return x + x\n    # END SOLUTION", "    return x + x"))
    assert "double-values gives 3 points" in wrong(source)["the starter"]


def test_a_solution_that_is_wrong_is_refused(written):
    source = changed(written, "solution/small.py", ("[x + x for", "[x * 3 for"))
    assert "double-refuses gives 0 of 2: failed" in wrong(source)["the solution"]


def test_a_mutant_that_loses_more_than_it_says_is_refused(written):
    source = changed(written, "assignment.toml", ("return x + x", "def double(x):"),
                     ("return x * x", "xs = 1/0\\n\\ndef double(x):"))
    assert "double-refuses is lost too" in wrong(source, only="squared")["mutant squared"]


def test_a_mutant_that_cannot_be_named_is_refused(written):
    source = changed(written, "assignment.toml", ("return x * x", "raise KeyError"))
    assert "the student is not told which mistake it is" in wrong(source)["mutant squared"]


def test_two_mutants_that_look_alike_are_to_share_a_sentence(written):
    text = (written() / "assignment.toml").read_text()
    first = text[text.index("[[mutant]]"):text.rindex("[[mutant]]")]
    twin = first.replace('"squared"', '"to-the-power"').replace('mistake = "', 'mistake = "or: ')
    source = Source.read(written(toml=text + "\n" + twin))
    assert "to-the-power and squared look alike in the visible cases" in (
        wrong(source)["mutant to-the-power"])


def test_a_check_that_no_mutant_loses_is_refused(written):
    text = (written() / "assignment.toml").read_text()
    source = Source.read(written(toml=text[: text.rindex("[[mutant]]")]))
    assert "no mutant loses double-refuses" in wrong(source)["the cases"]


def test_hidden_cases_that_are_all_visible_are_refused(written):
    source = changed(written, "checks.py", (
        'yield "a list", ([int(n) for n in rng.integers(1, 9, 3)],)', 'yield "a list", ([1, 2],)'))
    assert "double-refuses: whoever knows the answers" in wrong(source)["the cases"]


def test_cases_that_do_not_follow_from_their_seed_are_refused(written):
    source = changed(written, "checks.py", ("rng.normal(size=n)", "np.random.normal(size=n)"))
    assert "double-values: the same seed draws other cases" in wrong(source)["the cases"]


@pytest.mark.parametrize("seed", ["a", "b"])
def test_one_mutant_may_be_asked_for_alone(small, seed):
    assert [p.what for p in prove(small, only="squared", seed=seed)] == ["mutant squared"]

"""Hand-ins that answer from memory: of earlier calls, of other checks, of cases that they foretell.
Each is right in some calls, and the check wants all of them.
"""

import pytest
from attacks import CALLS, CHECKS, RIGHT, SOLUTION, attack

from etude_course.record import Status
from etude_course.run.run import run
from etude_course.source.source import Source


@pytest.fixture
def attacked(written, hand_in):
    source = Source.read(written(toml=CALLS, solution=SOLUTION, checks=CHECKS))
    yield lambda text: attack(source, hand_in(""), text)
    right = run(source, hand_in(RIGHT), seed="the secret seed", student="ada")
    assert right.score == 3


KEYS = {"shape": "x.shape", "dtype": "str(x.dtype)", "first call": "None",
        "size and type": "(x.size, type(x))", "random state": "np.random.get_state()[1][0]"}


@pytest.mark.parametrize("what", KEYS)
def test_a_result_that_is_kept_by_what_calls_share_is_wrong_in_the_next(attacked, what):
    found = attacked(f'''
        kept = {{}}
        def double(x):
            key = {KEYS[what]}
            told("kept:", key in kept)
            if key not in kept:
                kept[key] = x + x
            return kept[key]
        ''')
    assert found.check.status is Status.FAILED
    assert found.of("kept:") == "True"  # in the call that is shown, the first that is wrong


@pytest.mark.parametrize("key", ["id(x)", "x.__array_interface__['data'][0]"])
def test_a_result_that_is_kept_by_address_belongs_to_other_numbers(attacked, key):
    found = attacked(f'''
        kept = {{}}
        def double(x):
            key = {key}
            told("seen before:", key in kept)
            if key not in kept:
                kept[key] = x + x
                return np.empty_like(x) if len(kept) > 1 else x  # it needs the address again
            return kept[key]
        ''')
    assert found.check.status is Status.FAILED
    assert found.said


def test_work_that_is_put_off_to_a_later_call_is_not_done(attacked):
    found = attacked('''
        put_off = []
        def double(x):
            put_off.append((x, np.empty_like(x)))
            told("put off:", len(put_off))
            if len(put_off) == 3:
                for given, result in put_off:
                    result[...] = given + given
            return put_off[-1][1]
        ''')
    assert found.check.status is Status.FAILED
    assert found.of("put off:") in ("1", "2")


def test_an_answer_that_is_right_as_often_as_a_student_can_see_is_not_right(attacked):
    found = attacked('''
        calls = []
        def double(x):
            calls.append(x)
            told("call", len(calls))
            return x + x if len(calls) <= 2 else x
        ''')
    assert found.check.status is Status.FAILED
    assert found.of("call") == "3"
    assert found.check.case.startswith("hidden: ")


def test_the_hidden_cases_are_not_those_of_a_seed_that_one_can_guess(attacked):
    found = attacked('''
        def double(x):
            guesses = 0
            for seed in range(200):
                rng = np.random.default_rng(seed)
                for n in (3, 4, 3, 3, 4):
                    guesses += 1
                    if np.array_equal(rng.normal(size=n).astype(np.float32) + 5, x):
                        told("foretold", seed)
                        return x + x
            told("guesses", guesses)
            return x
        ''')
    assert found.of("guesses") == "1000"
    assert not any(s.startswith("foretold") for s in found.said)


def test_two_students_get_other_hidden_cases(written, hand_in):
    source = Source.read(written(toml=CALLS, solution=SOLUTION, checks=CHECKS))
    folder = hand_in("def double(x):\n    raise ValueError(repr(x.tolist()))\n")
    shown = {student: run(source, folder, seed=seed, student=student).checks[0]
             for student, seed in (("ada", "one"), ("bob", "one"))}
    assert shown["ada"].message == shown["bob"].message  # the visible ones are the same
    text = "seen = []\ndef double(x):\n    seen.append(x)\n" \
           "    return x + x if len(seen) < 3 else repr(x.tolist())\n"
    one, two, three = (run(source, hand_in(text), seed=seed, student=student).checks[0].detail
                       for student, seed in (("ada", "one"), ("bob", "one"), ("ada", "two")))
    assert len({one, two, three}) == 3


def test_nothing_is_left_for_the_next_hand_in(attacked):
    leave = '''
        import tempfile
        def double(x):
            folders = [".", tempfile.gettempdir(), "/dev/shm", "/tmp", os.path.expanduser("~"),
                       os.path.dirname(__file__)]
            places = [os.path.join(folder, "left") for folder in folders]
            told("found:", sum(os.path.exists(p) for p in places))
            for path in places:
                try:
                    open(path, "w").write("x")
                except OSError:
                    continue
            told("left:", sum(os.path.exists(p) for p in places) > 0)
            return x
        '''
    assert attacked(leave).of("left:") == "True"
    assert attacked(leave).of("found:") == "0"

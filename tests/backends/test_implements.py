"""Columns written as functions: @etude.implements, in a file, a module, or by itself."""

import sys
import textwrap

import numpy as np
import pytest

import etude
from etude import BackendError
from etude import functional as F
from etude.core.state import current

X = etude.ones(2, 3)
WIDE = etude.ones(2, 3, dtype=etude.float64)


def write(path, text):
    path.write_text(textwrap.dedent(text))
    return path


FILE = '''
    from __future__ import annotations
    from dataclasses import dataclass
    import numpy as np
    import etude

    @dataclass
    class Setting:
        scale: float = 2.0

    @etude.implements("exp", "log")
    def both(x):
        return x * np.float32(Setting().scale)

    @etude.implements("softmax")
    def mine(x, *, dim=-1):
        return x
'''


def test_a_file_of_functions_is_a_column(tmp_path):
    path = write(tmp_path / "mine.py", FILE)
    for form in (path, str(path)):
        with etude.use(form, strict=True) as chosen:
            assert repr(chosen) == "<use mine.py on cpu>"
            assert current().stack[0].name == "mine.py"
            assert "function" not in repr(current().stack)
            assert F.exp(X).tolist() == F.log(X).tolist() == [[2, 2, 2]] * 2
            assert F.softmax(X).tolist() == X.tolist()


def test_a_module_is_a_column(tmp_path, monkeypatch):
    write(tmp_path / "a_column_module.py", FILE)
    monkeypatch.syspath_prepend(tmp_path)
    import a_column_module

    with etude.use(a_column_module):
        assert F.exp(X).tolist() == [[2, 2, 2]] * 2
    sys.modules.pop("a_column_module")


def test_a_function_stays_a_function(column):
    assert column(np.zeros(2, np.float32)).tolist() == [0.5, 0.5]


def test_misspelt_ops_are_noticed_where_they_are_written(tmp_path):
    with pytest.raises(BackendError, match=r"there is no op called 'sofmax'\. Did you mean "
                                           r"'softmax'\?"):
        etude.implements("sofmax")
    with pytest.raises(BackendError, match=r"there is no op called 'zzzz'\.$"):
        etude.implements("exp", "zzzz")
    for forgotten in (lambda: etude.implements(), lambda: etude.implements(lambda x: x)):
        with pytest.raises(BackendError, match=r"wants the names of ops: @etude.implements\('"):
            forgotten()
    path = write(tmp_path / "typo.py", """
        import etude
        @etude.implements("sofmax")
        def f(x): ...
    """)
    with pytest.raises(BackendError, match=r"typo.py does not run: BackendError: there is no op "
                                           r"called 'sofmax'\. Did you mean 'softmax'\?"):
        etude.use(path)


@pytest.mark.parametrize(("text", "words"), [
    ("def f(x): return x", "mine.py has no function marked with @etude.implements"),
    ("1 / 0", "does not run: ZeroDivisionError: division by zero"),
    ("def f(:", "does not run: SyntaxError"),
    ("import nothing_like_that", "does not run: ModuleNotFoundError"),
    ("import sys; sys.exit(3)", "does not run: SystemExit: 3"),
])
def test_files_that_are_no_column(tmp_path, text, words):
    with pytest.raises(BackendError, match=words):
        etude.use(write(tmp_path / "mine.py", text))

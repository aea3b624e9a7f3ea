"""Makes ``c_programs`` importable by the files here, and trains each model once for all of them."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session", params=["mlp", "lenet"])
def digits_program(request, tmp_path_factory):
    """(name, model, C file, program) of a classifier of digits."""
    from c_programs import classifier_of, compiled

    model, source = classifier_of(request.param, tmp_path_factory.mktemp(request.param))
    return request.param, model, source, compiled(source)


@pytest.fixture(scope="session")
def mlp_checked(tmp_path_factory):
    """A mlp under the sanitizers, whose classes have names."""
    from c_programs import classifier_of, compiled

    names = ["naught", 'the "one"', "two??/", "three", "four", "five", "six", "seven", "\u00e9",
             "9"]
    _, source = classifier_of("mlp", tmp_path_factory.mktemp("checked"), names)
    return compiled(source, sanitized=True)


@pytest.fixture(scope="session")
def gpt_program(tmp_path_factory):
    """(model, tokenizer, C file, program) of a gpt that has read a little Shakespeare."""
    from c_programs import compiled, gpt_of

    model, tokenizer, source = gpt_of(tmp_path_factory.mktemp("gpt"))
    return model, tokenizer, source, compiled(source)


@pytest.fixture(scope="session")
def gpt_checked(gpt_program):
    """The same program under the sanitizers."""
    from c_programs import compiled

    return compiled(gpt_program[2], sanitized=True)

"""What import etude pulls in, and what it exports."""

import json
import subprocess
import sys

import pytest

import etude


def modules(code):
    """Top-level modules, the standard library's aside, that a new process has after ``code``."""
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True,
                          text=True, check=True)
    found = {name.partition(".")[0] for name in json.loads(done.stdout)}
    return {n for n in found - set(sys.stdlib_module_names) if not n.startswith("_")}


def test_import_needs_numpy_alone():
    already = modules("pass")  # what an environment's site customisation brings by itself
    assert modules("import etude") - already == {"etude", "numpy"} - already


def test_choosing_a_backend_needs_pluggy_too():
    found = modules("import etude; etude.set_default_backend('reference')")
    assert "pluggy" in found
    assert not found & {"click", "rich", "cffi", "matplotlib", "scipy", "safetensors"}


def test_a_first_step_needs_no_more_either():
    found = modules("import etude; x = etude.ones(2, requires_grad=True); x.exp().sum().backward()")
    assert "etude" in found
    assert not found & {"click", "rich", "cffi", "matplotlib", "scipy", "safetensors"}


def test_what_etude_exports_exists_and_is_public():
    assert len(etude.__all__) > 50
    for name in etude.__all__:
        assert not name.startswith("_")
        assert hasattr(etude, name)
    shadowed = {"manual_seed", "rand", "dropout", "full", "tensor", "grad", "no_grad", "gradcheck",
                "check_nan", "receipt", "use", "tap", "implements"}
    assert shadowed <= set(etude.__all__)


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert etude.__version__ == version("etude")


@pytest.mark.parametrize(("name", "words"), [
    ("save", "etude has no 'save'; write etude.save_weights(path, model), or"),
    ("load", "etude has no 'load'; write etude.load_weights(path, model), or"),
    ("Module", "write etude.nn.Module"),
    ("sofmax", "etude has no 'sofmax'. Did you mean 'softmax'?"),
    ("Softmax", "write etude.softmax"),
    ("xyzzy", "etude has no 'xyzzy'."),
])
def test_a_name_that_etude_has_not_names_the_one_that_is_meant(name, words):
    with pytest.raises(AttributeError) as error:
        getattr(etude, name)
    assert words in str(error.value)

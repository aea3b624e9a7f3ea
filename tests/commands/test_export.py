"""etude export, as a person uses it: from a run or a file of weights, and every way it ends early.

What the formats write is tested beside them: C files in tests/c_file.
"""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from runs_cases import GPT, call, invoke

import etude
from etude import models
from etude.data.tokenizers import CharTokenizer
from etude.train.checkpoint import ABOUT, read_weights

pytestmark = pytest.mark.usefixtures("safetensors")


@pytest.fixture
def run(here):
    """A folder in which a small mlp was trained."""
    call("train", "run.toml", "--set", "training.epochs=1")
    return Path("runs/run")


def refused(*words):
    """The error of ``etude export``, which writes no file."""
    before = sorted(Path().iterdir())
    result = invoke("export", *map(str, words))
    assert result.exit_code != 0, result.output
    assert "Traceback" not in result.output
    assert sorted(Path().iterdir()) == before
    return " ".join(result.output.split())


def save(path, about, **arrays):
    import safetensors.numpy

    text = about if isinstance(about, str) else json.dumps(about)
    safetensors.numpy.save_file(arrays, path, {ABOUT: text})


def test_a_run_becomes_a_c_file_that_says_what_it_is(run):
    out = call("export", str(run), "--c", "digits.c")
    assert "digits.c: " in out
    assert "its logits are Etude's within " in out
    assert "cc -O2 digits.c -o digits -lm" in out
    first = " ".join(Path("digits.c").read_text().split("*/")[0].split())
    assert first.startswith("/* digits.c: an mlp of 1,210 weights, trained with Etude")
    assert "mlp(classes=10, hidden=(16,), inputs=64), from weights.safetensors of 20" in first
    accuracy = json.loads((run / "history.json").read_text())["test"]["accuracy"]
    assert f"Its run ended with test accuracy {accuracy:.1%}, test loss " in first


def test_the_weights_alone_are_enough_and_give_the_same_file(run):
    weights = run / "weights.safetensors"
    assert read_weights(weights)[1] == {"model": "mlp", "arguments": {
        "classes": 10, "hidden": [16], "inputs": 64}}
    elsewhere = Path("elsewhere.safetensors")
    elsewhere.write_bytes(weights.read_bytes())
    call("export", str(run), "--c", "p1.c")
    call("export", str(elsewhere), "--c", "p2.c")
    one, two = (Path(name).read_text().partition("*/")[2] for name in ("p1.c", "p2.c"))
    assert one.replace("p1", "p2") == two
    assert "Its run ended" not in Path("p2.c").read_text()


def test_a_checkpoint_and_other_weights_need_to_be_told_what_they_are(run):
    newest = max((run / "checkpoints").iterdir())
    assert ("does not say which model it is, as the weights of 'etude train' do. Say so: --model "
            "gpt --set heads=4 and so on; there are char_rnn, gpt, lenet, mlp" in
            refused(newest, "--c", "a.c"))
    told = ["--model", "mlp", "--set", "inputs=64", "--set", "classes=10", "--set", "hidden=[16]"]
    call("export", str(newest), "--c", "a.c", *told)
    call("export", str(run), "--c", "b.c")
    one, two = (Path(name).read_text().partition("*/")[2] for name in ("a.c", "b.c"))
    assert one.replace('"a: "', '"b: "').replace("Usage: a ", "Usage: b ") == two
    assert "mlp needs classes. Say so: --set classes=..." in refused(
        newest, "--c", "c.c", "--model", "mlp", "--set", "inputs=64")
    assert "does not fit. " in refused(newest, "--c", "c.c", *told[:-1], "hidden=[15]")
    assert "mlp with hidden = 17,000 does not fit these weights, whose sizes go up to 64" in (
        refused(newest, "--c", "c.c", *told[:-1], "hidden=[17000]"))
    assert "model.name: there is no model 'mpl'. Did you mean 'mlp'?" in refused(
        newest, "--c", "c.c", "--model", "mpl")
    assert "model.heads: there is no setting 'heads'" in refused(run, "--c", "c.c", "--set",
                                                                 "heads=4")


def test_a_gpt_comes_with_the_characters_of_its_run(here):
    Path("names.toml").write_text(GPT)
    call("train", "names.toml")
    call("export", "runs/names", "--c", "names.c")
    assert '{1, "a"}, {1, "b"},' in Path("names.c").read_text()
    alone = Path("alone.safetensors")
    alone.write_bytes(Path("runs/names/weights.safetensors").read_bytes())
    assert "alone.safetensors: a gpt needs its tokenizer, and there is no tokenizer.json" in (
        refused(alone, "--c", "a.c"))
    call("export", str(alone), "--c", "a.c", "--tokenizer", "runs/names/tokenizer.json")
    assert "not a tokenizer's JSON file" in refused(
        alone, "--c", "b.c", "--tokenizer", "names.toml")


def test_a_tokenizer_for_a_model_of_numbers_is_a_mistake_and_said_to_be_one(run):
    tokenizer = Path("tokenizer.json")
    CharTokenizer.train("ab").save(tokenizer)
    assert "--tokenizer is for a model of text (char_rnn or gpt); " in refused(
        run, "--c", "mlp.c", "--tokenizer", tokenizer)
    assert not Path("mlp.c").exists()


def test_what_cannot_be_a_c_file_is_refused_by_name(here):
    for name, model, arguments in (
            ("char_rnn", models.char_rnn(3, 4), {"vocab": 3, "hidden": 4}),
            ("resnet20", models.resnet20(), {})):
        path = f"{name}.safetensors"
        etude.save_weights(path, model, {"model": name, "arguments": arguments})
        assert f"a {name} cannot be written as a C file; mlp, lenet and gpt can" in refused(
            path, "--c", "a.c")


def test_nothing_is_written_where_nothing_is_asked_for_or_the_source_is_no_model(run):
    assert "Say what to write: --c FILE" in refused(run)
    Path("empty").mkdir()
    assert "empty has no weights.safetensors: it is not the folder of a run, or" in refused(
        "empty", "--c", "a.c")
    assert "'nowhere' does not exist" in refused("nowhere", "--c", "a.c")
    assert "There is no such folder; make it first: '" in refused(
        run, "--c", "nowhere/a.c")
    weights = run / "weights.safetensors"
    before = weights.read_bytes()
    assert "is what is read, and would be written over" in refused(run, "--safetensors", weights)
    assert weights.read_bytes() == before


def test_the_ending_is_that_of_the_format_so_that_no_other_file_is_written_over(run):
    for format in ("c", "gguf", "safetensors", "pt"):
        assert f"--{format} writes a file whose name ends in .{format}, got 'run.toml'" in refused(
            run, f"--{format}", "run.toml")
    assert "--pt writes a file" in refused(run, "--c", "a.c", "--pt", "b.c")  # nor is a.c written


def test_what_the_file_says_is_not_changed_by_a_single_setting(run):
    assert ("says hidden = (16,), and --set (8,). Leave --set away, or say all of it anew, with "
            "--model mlp" in refused(run, "--c", "a.c", "--set", "hidden=[8]"))
    call("export", str(run), "--c", "a.c", "--set", "hidden=[16]")
    etude.save_weights("g.safetensors", models.gpt(3, 8, 1, 4, 16), {
        "model": "gpt", "arguments": {"vocab": 3, "block_size": 8, "layers": 1, "embed_dim": 16}})
    assert "says heads = 4, and --set 2." in refused("g.safetensors", "--pt", "a.pt", "--set",
                                                     "heads=2")


def test_a_file_of_pytorch_is_called_so(here):
    etude.save_torch("w.pt", models.mlp(4, 3))
    assert "if torch.save wrote it, etude.load_torch reads it" in refused("w.pt", "--c", "a.c")


def test_the_commands_that_it_prints_work_as_they_stand(run):
    out = call("export", str(run), "--c", str(Path("my model.c").absolute()))
    made = str(Path("my model").absolute())
    assert f"cc -O2 '{made}.c' -o '{made}' -lm" in out
    assert f"\n  '{made}' --help" in out


def test_a_damaged_file_is_an_error_and_leaves_the_c_file_that_was_there(run):
    weights, whole = run / "weights.safetensors", Path("a.c")
    whole.write_text("as before")
    data = weights.read_bytes()
    for damaged in (b"", data[:100], data[:-1], data[:20] + b"x" + data[21:],
                    b"\xff" * 8 + data[8:]):
        weights.write_bytes(damaged)
        assert "damaged, cut short, or no safetensors file" in refused(run, "--c", "a.c")
        assert whole.read_text() == "as before"
    weights.write_bytes(data)
    for name, content in (("history.json", "{"), ("history.json", '{"epochs": []}'),
                          ("classes.json", '{"a": 1}'), ("classes.json", "[" * 10_000)):
        before = (run / name).read_bytes() if (run / name).exists() else None
        (run / name).write_text(content)
        assert f"{name}: damaged, this is no " in refused(run, "--c", "a.c")
        os.unlink(run / name) if before is None else (run / name).write_bytes(before)
    assert whole.read_text() == "as before"


W = {"w": np.zeros((2, 3), np.float32)}


@pytest.mark.parametrize(("about", "words"), [
    ("{", "its metadata 'etude-weights' is no JSON"),
    ("[]", "does not say which model it is"),
    ({"model": 3, "arguments": {}}, "does not say which model it is"),
    ({"model": "mlp"}, "does not say which model it is"),
    ({"model": "os.system", "arguments": {}}, "there is no model 'os.system'"),
    ({"model": "mlp", "arguments": {"inputs": "x", "classes": 1}}, "inputs must be an integer"),
    ({"model": "mlp", "arguments": {"inputs": -1, "classes": 1}}, "mlp cannot be made: "),
    ({"model": "mlp", "arguments": {"inputs": 2**31, "classes": 2**31}}, "does not fit these"),
    ({"model": "mlp", "arguments": {"inputs": 2, "classes": 3}}, "does not fit."),
    ({"model": "gpt", "arguments": {"vocab": 3, "layers": 10**9}}, "layers = 1,000,000,000 does"),
])
def test_metadata_that_lies_is_an_error(here, about, words):
    save("w.safetensors", about, **W)
    assert words in refused("w.safetensors", "--c", "a.c")

"""The C file of a classifier: its logits are Etude's within the bound it states; what it reads."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_programs import as_text, compiled, digits_to_test, layers_as_c, logits, run, trained

import etude
from etude import models, nn
from etude.c_file import write
from etude.c_file.classifier import LAYERS, classifier
from etude.c_file.source import CFileError, comment, quoted
from etude.core.random import manual_seed


def of_reference(model, x):
    with etude.no_grad():
        return model(etude.tensor(x)).numpy()


def stated(source):
    """The bound that a C file states."""
    words = " ".join(source.read_text().split("*/")[0].split())
    return float(words.partition("logits lie at most ")[2].split()[0])


def test_the_logits_of_all_test_digits_are_those_of_the_reference(digits_program):
    _, model, source, program = digits_program
    images = digits_to_test()
    expected = of_reference(model, images)
    printed = run(program, given=as_text(images))
    found = logits(printed)
    assert found.shape == (355, 10)
    assert np.abs(found - expected).max() <= stated(source)
    assert [int(line[0]) for line in printed.splitlines()] == list(expected.argmax(1))
    assert len(set(expected.argmax(1))) > 5  # it has learned something


def test_the_bound_is_small_and_another_weight_breaks_it(digits_program, tmp_path):
    name, model, source, _ = digits_program
    assert 0 < stated(source) < 0.01
    text = source.read_text()
    at = text.rindex('    "') + 5  # the last row is the bias of the last layer
    exponent = f"{int(text[at : at + 2], 16) ^ 1:02x}"  # the first times 4, or a quarter of it
    other = tmp_path / f"{name}.c"
    other.write_text(text[:at] + exponent + text[at + 2 :])
    images = digits_to_test()
    found = logits(run(compiled(other), given=as_text(images)))
    assert np.abs(found - of_reference(model, images)).max() > stated(source)


def test_the_file_says_what_it_is(digits_program):
    name, _, source, _ = digits_program
    first = source.read_text().split("*/")[0]
    assert first.startswith(f"/* {name}.c: a")
    assert "trained with Etude" in first
    assert "Legend:" in first
    assert not [line for line in source.read_text().splitlines() if len(line) > 100]
    source.read_text().encode("ascii")


def test_numbers_come_with_spaces_commas_or_line_breaks_and_in_files(digits_program, tmp_path):
    program = digits_program[3]
    images = digits_to_test()[:3]
    expected = run(program, given=as_text(images))
    text = as_text(images)
    assert run(program, given=text.replace(" ", ",")) == expected
    assert run(program, given=text.replace(" ", "\r\n") + "\n\n") == expected
    files = []
    for i, image in enumerate(images):
        files.append(tmp_path / f"{i}.txt")
        files[-1].write_text(as_text([image]))
    assert run(program, *files) == expected


def pictures(images, kind, most=255):
    """The images as PGM, light ink on dark paper, rounded to ``most``; and what they are then."""
    levels = np.rint(images[:, 0] * most).astype(int)
    found = b""
    for image in levels:
        head = f"P{kind}\n# drawn by hand\n{image.shape[1]} {image.shape[0]}\n{most}\n".encode()
        if kind == 2:
            body = "\n".join(" ".join(map(str, row)) for row in image).encode() + b"\n"
        else:
            body = image.astype(">u2" if most > 255 else "u1").tobytes()
        found += head + body
    return found, (levels.astype(np.float32) / np.float32(most))[:, None]


@pytest.mark.parametrize(("kind", "most"), [(2, 255), (2, 16), (5, 255), (5, 16), (5, 1000)])
def test_a_picture_is_read_as_its_numbers_would_be(digits_program, kind, most):
    program = digits_program[3]
    picture, values = pictures(digits_to_test()[:4], kind, most)
    assert run(program, given=picture) == run(program, given=as_text(values))


def test_a_picture_of_dark_ink_is_inverted_wherever_the_option_stands(digits_program, tmp_path):
    program = digits_program[3]
    picture, values = pictures(1 - digits_to_test()[:2], 5)
    assert run(program, "--invert", given=picture) == run(program, given=as_text(1 - values))
    path = tmp_path / "dark.pgm"
    path.write_bytes(picture)
    assert run(program, path, "--invert") == run(program, "--invert", path)


def test_classes_have_their_names(mlp_checked):
    printed = run(mlp_checked, given=as_text(digits_to_test()[:40]))
    names = {line.partition(":")[0] for line in printed.splitlines()}
    assert names <= {"naught", 'the "one"', "two??/", "three", "four", "five", "six", "seven",
                     "\u00e9", "9"}
    assert len(names) > 3


IMAGE = " ".join(["0.5"] * 64)
HEAD = b"P5 8 8 255\n"


@pytest.mark.parametrize(("given", "words"), [
    ("", "stdin has no image in it"),
    (" \n , ", "stdin has no image in it"),
    (IMAGE[:-4], "image 1 ends after 63 of 64 numbers"),
    (IMAGE + "\n1 2", "image 2 ends after 2 of 64 numbers"),
    ("1 2 three", 'image 1 has "three" where number 3 of 64 should be'),
    ("1 2 0.5x", 'image 1 has "0.5x" where number 3 of 64 should be'),
    ("1 nan", 'image 1 has "nan" where number 2'),
    ("1 1e99", 'image 1 has "1e99" where number 2'),
    ("1 " + "9" * 100, "where number 2 of 64 should be"),
    (b"\0" * 64, 'image 1 has "" where number 1'),
    (b"P6 8 8 255\n" + bytes(192), "image 1 is a picture, but no grey PGM (P2 or P5)"),
    (b"P5 8 9 255\n" + bytes(72), "image 1 has 8 x 9 pixels, and this model reads 64 numbers"),
    (b"P5 65535 65535 255\n", "image 1 has 65535 x 65535 pixels"),
    (b"P5 99999999999 8 255\n", "image 1 is no PGM picture: it has no width from 1 to 65535"),
    (b"P5 8 0 255\n", "image 1 is no PGM picture: it has no height from 1"),
    (b"P5 8 8 99999\n", "image 1 is no PGM picture: it has no largest value from 1"),
    (b"P5 # and no more", "image 1 is no PGM picture: it has no width"),
    (HEAD + bytes(63), "image 1 ends after 63 of 64 pixels"),
    (b"P5 8 8 15\n" + bytes([16] * 64), "image 1 has a pixel of 16, and says 15 is the largest"),
    (b"P2 8 8 15\n" + b"-1 " * 64, "image 1 has a pixel of -1"),
    (b"P2 8 8 15\n1 2", "image 1 ends after 2 of 64 numbers"),
])
def test_a_wrong_input_is_an_error_of_one_line(mlp_checked, given, words):
    errors = run(mlp_checked, given=given, code=1)
    assert errors.startswith("mlp: ")
    assert words in errors
    assert errors.count("\n") == 1


def test_files_and_options_that_are_not_there(mlp_checked, tmp_path):
    assert "nowhere.txt cannot be opened: No such file" in run(mlp_checked, "nowhere.txt", code=1)
    assert "cannot be read: Is a directory" in run(mlp_checked, tmp_path, code=1)
    assert "there is no option --fast; see --help" in run(mlp_checked, "--fast", code=1)
    assert "Usage: mlp [--invert] [FILE ...]" in run(mlp_checked, "--help")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT RUN: needs /dev/full")
def test_a_full_disk_is_an_error(digits_program, gpt_program):
    for program, word in ((digits_program[3], "--invert"), (gpt_program[3], "A")):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program, word], input=as_text(digits_to_test()[:1]).encode(),
                                  stdout=full, stderr=subprocess.PIPE, check=False)
        assert done.returncode == 1
        assert b"the output cannot be written: No space left on device" in done.stderr


def test_good_images_run_clean_under_the_sanitizers(mlp_checked, digits_program, tmp_path):
    picture, _ = pictures(digits_to_test()[:2], 5)
    assert run(mlp_checked, given=picture).count("\n") == 2
    copy = tmp_path / "copy.c"
    copy.write_text(digits_program[2].read_text())
    checked = compiled(copy, sanitized=True)
    text = as_text(digits_to_test()[:3])
    assert run(checked, given=text) == run(digits_program[3], given=text)


def test_no_name_gets_out_of_its_comment_or_string(tmp_path):
    assert comment("*/ int x; /* \u00e9 \\\n") == "* / int x; / * /xe9 ///n"
    assert quoted(b'"; ??/ \\ \n1\xff') == r'"\042; \077\077/ \134 \0121\377"'
    source = tmp_path / 'a "%s" \\.c'
    weights = tmp_path / 'w" %d \\'
    write(trained(models.mlp(2, 2), "mlp", {"inputs": 2, "classes": 2}, weights), source)
    assert 'from w" %d //' in source.read_text()
    assert run(compiled(source), "nothing", code=1).startswith("a___s___: nothing cannot be")


# ------------------------------------------------------------------ every layer


def every_layer():
    return nn.Sequential({
        "conv": nn.Conv2d(2, 5, (3, 2), stride=(1, 2), padding=(1, 0)),
        "a-norm": nn.BatchNorm2d(5), "silu": nn.SiLU(), "avg": nn.AvgPool2d(2, 1, 1),
        "gelu": nn.GELU(), "nothing": nn.Identity(), "leaky": nn.LeakyReLU(0.1),
        "max": nn.MaxPool2d(3, 2, 1), "inner": nn.Sequential(nn.Conv2d(5, 4, 1, bias=False),
                                                             nn.ELU(0.7), nn.Tanh()),
        "bins": nn.AdaptiveAvgPool2d((1, 3)), "flat": nn.Flatten(), "head": nn.Linear(12, 6),
        "norm": nn.BatchNorm1d(6, affine=False), "gate": nn.GELU("tanh"),
        "drop": nn.Dropout(0.5), "last": nn.Linear(6, 3, bias=False), "end": nn.Sigmoid(),
        "relu": nn.ReLU()})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_layer_does_what_it_does_in_etude(tmp_path, dtype):
    manual_seed(1)
    model = every_layer()
    assert {type(m) for m in model.modules()} == LAYERS.keys()
    random = np.random.default_rng(0)
    for _ in range(3):  # running statistics of their own
        model(etude.tensor(random.random((8, 2, 6, 8), np.float32)))
    model.eval()
    model.to(getattr(etude, dtype))
    program, bound = layers_as_c(model, (2, 6, 8), tmp_path / "layers.c")
    assert 0 < bound < {"float32": 0.1, "float64": 1e-9}[dtype]
    x = random.random((20, 2, 6, 8)).astype(dtype)
    text = "\n".join(" ".join(map(repr, map(float, one.ravel()))) for one in x)
    found, expected = logits(run(program, given=text)), of_reference(model, x)
    assert np.abs(found - expected).max() <= bound
    assert np.abs(expected - expected[0]).max() > 100 * np.abs(found - expected).max()


@pytest.mark.parametrize(("model", "shape"), [
    (nn.Linear(4, 2), (4,)), (nn.Sequential(nn.ReLU(), nn.Linear(4, 1)), (4,)),
    (nn.Sequential(nn.Linear(4, 1)), (4,)), (models.mlp(4, 2), (4,))])
def test_a_model_may_be_one_layer(tmp_path, model, shape):
    program, bound = layers_as_c(model, shape, tmp_path / "layers.c")
    x = np.random.default_rng(0).random((2, 4), np.float32)
    assert np.abs(logits(run(program, given=as_text(x))) - of_reference(model, x)).max() <= bound


@pytest.mark.parametrize(("channels", "pictures"), [(1, True), (3, False)])
def test_the_help_offers_pictures_to_a_model_that_can_read_them(tmp_path, channels, pictures):
    model = nn.Sequential(nn.Flatten(), nn.Linear(channels * 4, 2))
    program, _ = layers_as_c(model, (channels, 2, 2), tmp_path / "layers.c")
    said = run(program, "--help")
    assert ("PGM picture" in said) is pictures
    assert said.endswith(("the other way round.\n", "commas between them.\n"))


@pytest.mark.parametrize(("layer", "words"), [
    (nn.Softmax(), "the layer 1, Softmax(dim=-1), is not among the layers that a C file may have"),
    (nn.Sequential(nn.GroupNorm(1, 4)), "the layer 1.0, GroupNorm"),
    (nn.Conv2d(4, 4, 3, dilation=2), "has groups, dilation"),
    (nn.Conv2d(4, 4, 3, padding="same"), "has groups, dilation"),
    (nn.MaxPool2d(2, ceil_mode=True), "has dilation, ceil_mode or return_indices"),
    (nn.AvgPool2d(2, padding=1, count_include_pad=False), "leaves out its padding"),
    (nn.AdaptiveAvgPool2d(4), "into bins of several sizes"),
    (nn.Linear(7, 2), "reads 7 numbers, and here come [4, 6, 6]"),
    (nn.Flatten(2), "keeps some of the axes"),
    (nn.LeakyReLU(-1.0), "falls where x < 0"),
    (nn.BatchNorm2d(4, track_running_stats=False), "has no running statistics"),
    (nn.BatchNorm2d(3), "reads 3 channels, and here come 4"),
])
def test_what_a_c_file_does_not_have_is_refused_by_its_path_and_name(layer, words):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), layer)
    with pytest.raises(CFileError) as refused:
        classifier(model, (1, 8, 8), None, "", "layers")
    assert words in str(refused.value)
    assert "Known are AdaptiveAvgPool2d, AvgPool2d" in str(refused.value)


@pytest.mark.parametrize("text", ["*/ int x;", "*\\ int x;", "*\\\n/", "/*\\/", "*/*/", "/*/",
                                  "\\*\\"])
def test_no_text_ends_a_comment_or_begins_one_in_it(text):
    assert "*/" not in comment(text)
    assert "/*" not in comment(text)


def test_what_is_said_of_a_model_must_stand_in_a_comment():
    for text in ("of mine */ int x;", "of mine /* and more"):
        with pytest.raises(CFileError, match="stands in a comment of C"):
            classifier(nn.Linear(2, 2), (2,), None, text, "p")


def test_a_quantised_model_is_refused_because_of_its_int8():
    with pytest.raises(CFileError, match="has its weights in int8"):
        classifier(nn.quantize(models.mlp(4, 3, 2)), (4,), None, "", "p")
    with pytest.raises(CFileError, match=r"the layer 7, LinearInt8\(.*is not among the layers"):
        classifier(nn.quantize(models.lenet()), (1, 8, 8), None, "", "p")


def test_a_model_without_weights_is_refused():
    with pytest.raises(CFileError, match="the model, a Sequential, has no weights"):
        classifier(nn.Sequential(nn.Flatten()), (2,), None, "", "layers")


def test_a_layer_that_is_a_subclass_is_not_taken_for_its_base():
    class Other(nn.Linear):
        def forward(self, input):
            return -super().forward(input)

    with pytest.raises(CFileError, match="the layer 0, Other"):
        classifier(nn.Sequential(Other(2, 2)), (2,), None, "", "layers")

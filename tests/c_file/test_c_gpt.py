"""The C file of a gpt writes the text that Etude writes, and says what is wrong with a prompt."""

import numpy as np
import pytest
from c_programs import compiled, gpt_of, run, written

import etude
from etude import data, models, nn
from etude.c_file import write
from etude.c_file.classifier import CFileError
from etude.c_file.gpt import gpt, reach
from etude.data.tokenizers import BPETokenizer, CharTokenizer

PROMPTS = ["T", "To be", "All the world's a stage, and all the men and women", "x" * 24, "x" * 25]


@pytest.mark.parametrize("prompt", PROMPTS)
def test_200_tokens_at_temperature_0_are_those_of_etude(gpt_program, prompt):
    model, tokenizer, _, program = gpt_program
    found = run(program, prompt, 200, "--temperature", 0)
    assert found == written(model, tokenizer, prompt, 200, 0) + "\n"
    assert len(found) == len(prompt) + 200 + 1  # far beyond the 24 tokens that it sees


@pytest.mark.parametrize(("temperature", "top_k", "seed"), [
    (1.0, None, 0), (1.0, None, 1), (0.8, 5, 2**53), (1.7, 1, 3), (0.5, 1000, 4), (3.0, 40, 5)])
def test_a_sampled_text_is_that_of_etude_for_the_same_seed(gpt_program, temperature, top_k, seed):
    model, tokenizer, _, program = gpt_program
    words = ["--top-k", top_k] if top_k else []
    found = run(program, "What", "--temperature", temperature, "--seed", seed, *words)
    assert found == written(model, tokenizer, "What", 200, temperature, top_k, seed) + "\n"


def test_a_temperature_near_0_takes_the_likeliest(gpt_program):
    found = run(gpt_program[3], "What", "--temperature", "1e-30", "--top-k", 3)
    assert found == run(gpt_program[3], "What", "--temperature", 0)


def test_without_options_it_writes_200_tokens_of_seed_0(gpt_program):
    model, tokenizer, _, program = gpt_program
    assert run(program, "A") == written(model, tokenizer, "A", 200, 1.0) + "\n"
    assert run(program, "A", 0) == "A\n"


def of_etude(model, tokenizer, prompt):
    with etude.no_grad():
        x = tokenizer.encode(prompt)[-model.block_size :]
        return model(etude.tensor(x[None])).numpy()[0, -1]


def near(program, model, tokenizer, prompt):
    """Whether the C file's logits lie within the bound that it states."""
    expected = of_etude(model, tokenizer, prompt)
    found = np.array([float(line) for line in run(program, prompt, "--logits").split()])
    bound = reach(len(model.blocks), model.blocks[0].mlp[0].weight.shape[0], expected.dtype)
    return np.abs(found - expected).max() <= bound * np.abs(expected).max()


def test_logits_lie_within_the_stated_bound(gpt_program):
    model, tokenizer, source, program = gpt_program
    text = data.shakespeare()
    for start in range(0, 20_000, 1000):
        assert near(program, model, tokenizer, text[start : start + 1 + start % 30])
    bound = reach(2, 128, np.dtype(np.float32))
    assert f"logits lie at most {bound:.1e} of the largest" in " ".join(source.read_text().split())
    assert bound < 1e-4
    assert not near(program, models.gpt(tokenizer.vocab_size, 24, 2, 2, 32).eval(), tokenizer, "A")


def test_a_float64_model_becomes_a_program_of_doubles(tmp_path):
    model, tokenizer, source = gpt_of(tmp_path, steps=5, dtype=etude.float64)
    program = compiled(source)
    assert near(program, model, tokenizer, "To be")
    for temperature in (0, 1):
        found = run(program, "To be", 60, "--temperature", temperature, "--seed", 2)
        assert found == written(model, tokenizer, "To be", 60, temperature, seed=2) + "\n"


def test_characters_beyond_ascii(tmp_path):
    text = "\u00e9t\u00e9 \u4e16\u754c \U0001f600 \"??/\" \\ % \t\n" * 40
    model, tokenizer, source = gpt_of(tmp_path, text=text, steps=10)
    program = compiled(source, sanitized=True)
    prompt = "\u4e16\u754c \U0001f600\""
    found = run(program, prompt, 60, "--temperature", 0)
    assert found == written(model, tokenizer, prompt, 60, 0) + "\n"
    assert "'\u00e8', byte 4 of the prompt, is not among the" in run(
        program, "\u4e16\u00e8", code=1)


@pytest.mark.parametrize(("words", "error"), [
    ([], 'give a text to go on from, such as gpt "A"; see --help'),
    ([""], "give a text to go on from"),
    (["To {be}"], "'{', byte 4 of the prompt, is not among the"),
    (["A", "many"], "COUNT takes a number from 0 to 1e+15, got many"),
    (["A", "-1"], "COUNT takes a number from 0"),
    (["A", "1.5"], "COUNT takes a whole number, got 1.5"),
    (["A", "1", "2"], "2 is one word too many: a prompt of several stands in quotes"),
    (["A", "--temperature"], "--temperature takes a number from 0 to 1e+09, got nothing"),
    (["A", "--temperature", "hot"], "got hot"),
    (["A", "--temperature", "nan"], "got nan"),
    (["A", "--temperature", "-1"], "got -1"),
    (["A", "--top-k", "0"], "--top-k takes a number from 1 to 1e+09, got 0"),
    (["A", "--seed", "-1"], "--seed takes a number from 0"),
    (["A", "--seed", "x"], "--seed takes a number from 0"),
    (["A", "--speed", "9"], "there is no option --speed; see --help"),
])
def test_a_wrong_command_line_is_an_error_of_one_line(gpt_checked, words, error):
    errors = run(gpt_checked, *words, code=1)
    assert errors.startswith("gpt: ")
    assert error in errors
    assert errors.count("\n") == 1


def test_it_runs_clean_under_the_sanitizers(gpt_checked, gpt_program):
    words = ["All the world", 60, "--seed", 3, "--top-k", 9]
    assert run(gpt_checked, *words) == run(gpt_program[3], *words)
    assert run(gpt_checked, "x" * 40, 5, "--temperature", 0).startswith("x" * 40)
    assert "Usage: gpt PROMPT [COUNT]" in run(gpt_checked, "--help")


# ------------------------------------------------------------------ byte pairs


@pytest.fixture(scope="module")
def byte_pairs(tmp_path_factory):
    """(model, tokenizer, program under the sanitizers) of a text in byte pairs."""
    text = data.shakespeare()[:30_000] + "l'\u00e9t\u00e9 \u4e16\u754c!!  " * 50
    tokenizer = BPETokenizer.train(text, 300, progress=False)
    model, _, source = gpt_of(tmp_path_factory.mktemp("pairs"), text=text, tokenizer=tokenizer,
                              steps=20)
    return model, tokenizer, compiled(source, sanitized=True)


CUTS = ["a", "to be  or\n\n not", "  x", " ", "   ", "\n x", "a \n", "don't!?", "_x_1", " ?!x",
        "\u00e9t\u00e9 l'\u00e9t\u00e9", "\u4e16\u754c\u3000\u4e16", "\U0001f600 \U0001f600",
        "\x1f\x85 z",
        "e\u0301", "the" * 40, "?" * 70, " " * 70 + "x", " " * 64 + "x", " " * 65, "x " * 40,
        "\u00b2\u2460x", "\u200b", "\t\tif"]


def test_a_prompt_is_cut_into_the_same_byte_pairs(byte_pairs):
    model, tokenizer, program = byte_pairs
    for prompt in CUTS:
        assert near(program, model, tokenizer, prompt), repr(prompt)


def test_text_of_byte_pairs_is_that_of_etude(byte_pairs):
    model, tokenizer, program = byte_pairs
    found = run(program, "To be", 60, "--temperature", 0)
    assert found == written(model, tokenizer, "To be", 60, 0) + "\n"


@pytest.mark.parametrize("prompt", [
    b"\xff", b"a\xc3", b"\xc3(", b"\xed\xa0\x80", b"\xf9\x80\x80\x80", b"\xc0\x80", b"\x80",
    b"\xf4\x90\x80\x80", b"\xf0\x9f"])
def test_a_prompt_that_is_no_utf_8_is_refused(byte_pairs, prompt):
    word = prompt.decode("utf-8", "surrogateescape")
    assert "the prompt is not UTF-8" in run(byte_pairs[2], word, code=1)


# ------------------------------------------------------------------ what is refused


def test_a_gpt_that_is_not_the_usual_one_is_refused_by_the_layer():
    tokenizer = CharTokenizer("abc")

    def made(change):
        model = models.gpt(3, 4, 2, 2, 8)
        change(model)
        with pytest.raises(CFileError) as refused:
            gpt(model, tokenizer, "", "gpt")
        return str(refused.value)

    def relu(model):
        setattr(model.blocks[1].mlp, "1", nn.ReLU())

    assert "the layer blocks.1.mlp is not Linear, GELU('tanh')" in made(relu)
    assert "the layer blocks.1, a Linear, is no TransformerBlock" in made(
        lambda model: setattr(model.blocks, "1", nn.Linear(8, 8)))
    assert "the layer blocks.0.attention, MultiheadAttention(8, num_heads=2" in made(
        lambda model: setattr(model.blocks[0], "attention",
                              nn.MultiheadAttention(8, 2, add_zero_attn=True)))
    assert "the layer blocks.1 differs from the first" in made(
        lambda model: setattr(model.blocks[1], "is_causal", False))


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    with pytest.raises(CFileError, match="the tokenizer knows 2 tokens, and the model 3"):
        gpt(models.gpt(3, 4, 1, 1, 4), CharTokenizer("ab"), "", "gpt")
    from c_programs import trained

    with pytest.raises(CFileError, match="a gpt needs its tokenizer"):
        write(trained(models.gpt(3, 4, 1, 1, 4), "gpt", {}, tmp_path / "w"), tmp_path / "gpt.c")
    assert not (tmp_path / "gpt.c").exists()

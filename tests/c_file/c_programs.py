"""Models, trained a little, and their C files, compiled: what the tests of this folder share."""

import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from etude import data, models, nn, optim
from etude.c_file import write
from etude.c_file.classifier import classifier
from etude.core.random import Generator, manual_seed
from etude.data.tokenizers import CharTokenizer
from etude.train.trained import Trained

STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
CHECKED = [*STRICT, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compiler():
    found = next((c for c in (os.environ.get("CC"), "cc", "gcc", "clang") if c and shutil.which(c)),
                 None)
    return found or pytest.skip("NOT RUN: needs a C compiler")


@cache
def _has(flags):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "empty.c"
        source.write_text("int main(void) { return 0; }\n")
        return not subprocess.run([compiler(), *flags, source, "-o", source.with_suffix("")],
                                  capture_output=True, check=False).returncode


def compiled(source, *flags, sanitized=False):
    """The program of a C file: with every warning an error, and run under sanitizers if asked."""
    flags = (*(CHECKED if sanitized else [*STRICT, "-O2"]), *flags)
    if sanitized and not _has(flags):
        pytest.skip("NOT RUN: needs a C compiler with the sanitizers address and undefined")
    program = source.with_suffix(".checked" if sanitized else "")
    done = subprocess.run([compiler(), *flags, source, "-o", program, "-lm"], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def run(program, *words, given="", code=0):
    """What the program prints; for another ``code`` than 0, its stderr, and nothing of a report
    of a sanitizer.
    """
    given = given if isinstance(given, bytes) else given.encode()
    done = subprocess.run([program, *map(str, words)], input=given, capture_output=True,
                          check=False, timeout=60)
    assert done.returncode == code, (done.returncode, done.stderr.decode())
    errors = done.stderr.decode()
    assert not re.search("Sanitizer|runtime error", errors), errors
    assert bool(errors) == bool(code)
    return errors if code else done.stdout.decode("utf-8", "surrogateescape")


def logits(printed):
    """What a classifier printed: (n, classes)."""
    return np.array([[float(word) for word in line.partition(":")[2].split()]
                     for line in printed.splitlines()])


def as_text(images):
    return "\n".join(" ".join(f"{v:.9g}" for v in image.ravel()) for image in images)


def digits_to_test():
    """The images of the test set, (355, 1, 8, 8)."""
    found = data.digits("test")
    x, _ = found.batch(np.arange(len(found)))
    return np.asarray(x if isinstance(x, np.ndarray) else x.numpy())


def learn(model, batches, loss, lr=0.01):
    steps = optim.AdamW(model.parameters(), lr=lr)
    for x, y in batches:
        found = loss(model(x), y)
        steps.zero_grad()
        found.backward()
        steps.step()
    model.eval()


def trained(model, name, arguments, path, tokenizer=None, classes=None):
    """As ``Trained.read`` would give it. ``path`` is a file that stands for the weights."""
    path.write_bytes(b"weights")
    return Trained(model, name, arguments, path, tokenizer, classes, "")


def classifier_of(name, folder, classes=None):
    """(a mlp or lenet that knows the digits a little, its C file)"""
    manual_seed(0)
    model = models.mlp(64, 32, 10) if name == "mlp" else models.lenet(8)
    arguments = {"inputs": 64, "classes": 10} if name == "mlp" else {}
    loader = data.DataLoader(data.digits("train"), 64, shuffle=True)
    learn(model, loader, nn.functional.cross_entropy)
    source = folder / f"{name}.c"
    write(trained(model, name, arguments, folder / "w", classes=classes), source)
    return model, source


def gpt_of(folder, name="gpt", text=None, tokenizer=None, steps=60, dtype=None):
    """(a gpt that has read some of a text, its tokenizer, its C file). It sees 24 tokens."""
    manual_seed(0)
    text = text or data.shakespeare()[:20_000]
    tokenizer = tokenizer or CharTokenizer.train(text)
    model = models.gpt(tokenizer.vocab_size, 24, layers=2, heads=2, embed_dim=32)
    if dtype is not None:
        model = model.to(dtype)
    blocks = data.LanguageModelDataset(tokenizer.encode(text), 24)
    loader = data.DataLoader(blocks, 16, shuffle=True)
    learn(model, (batch for batch, _ in zip(loader, range(steps), strict=False)),
          lambda y, t: nn.functional.cross_entropy(y.flatten(0, 1), t.flatten()))
    source = folder / f"{name}.c"
    write(trained(model, "gpt", {"vocab": tokenizer.vocab_size}, folder / "w", tokenizer), source)
    return model, tokenizer, source


def written(model, tokenizer, prompt, count, temperature, top_k=None, seed=0):
    """What Etude writes."""
    import etude

    x = etude.tensor(tokenizer.encode(prompt)[None])
    y = model.generate(x, count, temperature, top_k, Generator(seed))
    return tokenizer.decode(y.numpy()[0])


def layers_as_c(model, shape, path):
    """(the program of any layers, the bound)"""
    text, bound = classifier(model, shape, None, "layers.c: made by a test.", "layers")
    path.write_text(text)
    return compiled(path), bound

"""Trained: a model that training left behind, read from its files, with what is known about it.

``etude train`` writes into the metadata of weights.safetensors which model it is and with which
arguments it was made, so that this file alone is enough. What lies beside it in the folder of the
run (``experiment.py``) says more: the characters of a text, the names of classes, the accuracy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.core.shapes import STORED
from etude.data.tokenizers import BPETokenizer, CharTokenizer, load_tokenizer
from etude.nn.module import Module
from etude.nn.quantized import LinearInt8, quantize
from etude.train.catalog import MODELS
from etude.train.checkpoint import CheckpointError, load_into, read_weights
from etude.train.experiment import CLASSES, HISTORY, TOKENIZER, WEIGHTS
from etude.train.form import checked as of_form
from etude.train.settings import ConfigError, arguments, chosen, missing, with_defaults

#: The models that read tokens.
TEXT = ("char_rnn", "gpt")
#: The JSON about a model, in the metadata of its weights.
MODEL = {"model": str, "arguments": dict}


@dataclass
class Trained:
    """``model`` is in eval mode, on the CPU. ``result`` is a sentence, such as "test accuracy
    97.2%", or "" where nothing is known.
    """

    model: Module
    name: str  # in the catalogue
    arguments: dict[str, Any]  # it was made with
    path: Path  # of the weights
    tokenizer: CharTokenizer | BPETokenizer | None
    classes: list[str] | None
    result: str

    @property
    def quantized(self) -> bool:
        """Whether the linear layers have weights in int8, as ``nn.quantize`` leaves them."""
        return any(isinstance(m, LinearInt8) for m in self.model.modules())

    @classmethod
    def read(cls, source: Path, name: str | None = None, options: Mapping[str, Any] | None = None,
             tokenizer: Path | None = None) -> Trained:
        """From the folder of a run, or a .safetensors file. ``name`` and ``options`` say which
        model it is where the file does not; ``tokenizer`` is a file that takes the place of the
        one beside the weights.

        Raises FileNotFoundError, CheckpointError and ConfigError, worded for a reader.
        """
        path = source / WEIGHTS if source.is_dir() else source
        if source.is_dir() and not path.exists():
            raise FileNotFoundError(f"{source} has no {WEIGHTS}: it is not the folder of a run, "
                                    f"or the run has not ended. Go on with it: etude train CONFIG "
                                    f"--out {source} --resume")
        weights, about = read_weights(path)
        name, given = _which(path, about, name, options or {})
        model = _made(path, name, given, weights)
        load_into(path, model, weights)
        model.eval()
        beside = path.parent
        if tokenizer is None and (beside / TOKENIZER).is_file():
            tokenizer = beside / TOKENIZER
        return cls(model, name, given, path,
                   None if tokenizer is None else load_tokenizer(tokenizer),
                   _classes(beside / CLASSES), _result(beside / HISTORY))


def _which(path: Path, about: Any, name: str | None, options: Mapping[str, Any]
           ) -> tuple[str, dict[str, Any]]:
    """The name of the model, and the arguments to make it with, each checked. What the file says
    holds, unless ``name`` is given and everything is said anew.
    """
    said: dict[str, Any] = {}
    if name is None:
        try:
            of_form(about, MODEL, "the metadata")
        except ValueError:
            raise CheckpointError(f"{path}: does not say which model it is, as the weights of "
                                  f"'etude train' do. Say so: --model gpt --set heads=4 and so "
                                  f"on; there are {', '.join(MODELS)}") from None
        name, said = about["model"], about["arguments"]
    make = chosen(f"{path}: model.name", "model", name, MODELS)
    given = arguments(f"{path}: model", make, said | dict(options))
    if said:
        known = with_defaults(make, arguments(f"{path}: model", make, said))
        for key in options:
            if key in known and known[key] != given[key]:
                raise ConfigError(f"{path}: says {key} = {known[key]!r}, and --set {given[key]!r}. "
                                  f"Leave --set away, or say all of it anew, with --model {name}")
    return name, given


def _made(path: Path, name: str, given: dict[str, Any], weights: Mapping[str, Any]) -> Module:
    """The model. An argument beyond every size in the file is an error before it takes memory."""
    lacking = missing(MODELS[name], given)
    if lacking:
        raise ConfigError(f"{path}: {name} needs {' and '.join(lacking)}. Say so: " +
                          " ".join(f"--set {key}=..." for key in lacking))
    most = max([len(weights), *(n for a in weights.values() for n in a.shape)])
    for key, value in given.items():
        for n in value if isinstance(value, (tuple, list)) else [value]:
            if isinstance(n, int) and n > most:
                raise ConfigError(f"{path}: {name} with {key} = {n:,} does not fit these weights, "
                                  f"whose sizes go up to {most:,}")
    try:
        model: Module = MODELS[name](**given)
    except (ValueError, TypeError, MemoryError) as error:
        raise ConfigError(f"{path}: {name} cannot be made: {error}") from error
    floats = [a.dtype for a in weights.values() if a.dtype.kind == "f"]
    model = model.to(floats[0]) if floats else model
    return quantize(model) if any(a.dtype in STORED for a in weights.values()) else model


def _classes(path: Path) -> list[str] | None:
    """The names of the classes, if the run has some. ValueError for a file of another kind."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_bytes())
        of_form(found, [str], "the list")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged, this is no list of names ({error})") from None
    return list(found)


def _result(path: Path) -> str:
    """What the run reached, in words: of the test data, else of what else it measured."""
    if not path.is_file():
        return ""
    try:
        history = json.loads(path.read_bytes())
        last = history["epochs"][-1]
        kind, found = next((kind, one) for kind, one in (
            ("test", history["test"]), ("test", last["test"]), ("validation", last["validation"]),
            ("training", last)) if one is not None)
        loss, accuracy = found["loss"], found["accuracy"]
        words = [] if accuracy is None else [f"{kind} accuracy {accuracy:.1%}"]
        words += [] if loss is None else [f"{kind} loss {loss:.4f}"]
        return ", ".join(words)
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise ValueError(f"{path}: damaged, this is no history of a run ({error!r})") from None

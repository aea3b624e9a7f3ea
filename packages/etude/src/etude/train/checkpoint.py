"""Checkpoints: everything a run needs to go on, in one safetensors file that is never half there.

One file, because a rename is the one thing a file system does all at once: a kill at any moment
leaves the checkpoint before or the one after. Tensors are the file's tensors; everything else (the
settings of the optimiser, generators, whatever ``state`` is given) is JSON in its metadata; a
SHA-256 over both tells a damaged file. What was written is read back and compared before it takes
the place of the file before. Never pickle: loading must not run code.

Keys: "model." + path, "optimizer." + number of the parameter + "." + name of the moment,
"state." + key. Format: https://github.com/huggingface/safetensors
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.random import Generator, default_generator
from etude.core.tensor import Tensor, from_numpy
from etude.data.files import uninterrupted, write_atomically
from etude.nn.module import Module
from etude.optim.optimizer import Optimizer
from etude.train.form import Each, checked

FORMAT = "etude-checkpoint"
VERSION = 1
MODEL, OPTIMIZER, STATE = "model.", "optimizer.", "state."
ABOUT = "etude-weights"  # the key of their metadata

PathLike = str | os.PathLike[str]
Array = np.ndarray[Any, Any]
State = dict[str, Any]

#: The JSON of a checkpoint. What is a dict or an object here is looked at by whoever takes it over.
DOCUMENT = {
    "generators": Each({"seed": int, "calls": int}),
    "optimizer": (None, {"kind": str, "param_groups": [dict], "state": [dict]}),
    "scheduler": (None, {"kind": str, "state": object}),
    "state": dict,
}


class CheckpointError(ValueError):
    """A file that is damaged or not what was asked for, or does not fit what it is loaded into."""


class DamagedError(CheckpointError):
    """What is in the file is at fault, whatever it is loaded into: another file may do."""


def save_checkpoint(path: PathLike, model: Module, optimizer: Optimizer | None = None,
                    scheduler: Any = None, state: Mapping[str, Any] | None = None) -> None:
    """Write the values of ``model``, ``optimizer`` and ``scheduler``, the state of the default
    generator and of those in the model's layers, and ``state``, all in one file.

    ``state`` is yours: values are JSON, or NumPy arrays of numbers, which come back with the same
    shape, values and dtype, in this machine's byte order. ``path`` is the old file or the whole
    new one at every moment. Raises OSError as ``open`` does, TypeError for a state that is not
    JSON or numbers, CheckpointError if the new file does not read back as it was given,
    ImportError without safetensors (the extra ``etude[checkpoint]``).
    """
    path_first("save_checkpoint", path, model)
    arrays = {MODEL + k: host_array(t) for k, t in model.state_dict().items()}
    document: State = {"generators": {k: g.get_state() for k, g in _generators(model).items()},
                       "optimizer": None, "scheduler": None, "state": {}}
    if optimizer is not None:
        document["optimizer"] = _optimizer_state(optimizer, arrays)
    if scheduler is not None:
        document["scheduler"] = {"kind": type(scheduler).__name__,
                                 "state": scheduler.state_dict()}
    for key, value in (state or {}).items():
        if isinstance(value, np.ndarray):
            arrays[STATE + key] = value
        else:
            document["state"][key] = value
    try:
        text = json.dumps(document)
    except TypeError:
        where, value = _no_json("", document)
        raise TypeError(f"save_checkpoint: JSON cannot hold {where}, a {type(value).__name__}: "
                        f"{value!r}. Give numbers, text, lists, dicts, or NumPy arrays of numbers "
                        f"as values of state itself") from None
    write_arrays(path, arrays, {"format": FORMAT, "version": str(VERSION)}, text)


def _no_json(path: str, value: Any) -> tuple[str, Any]:
    """Where in ``value`` the first thing is that JSON cannot hold, and the thing."""
    inside = {}
    if isinstance(value, dict):
        inside = {f"{path}.{k}" if path else str(k): v for k, v in value.items()}
    elif isinstance(value, (list, tuple)):
        inside = {f"{path}[{i}]": v for i, v in enumerate(value)}
    for where, part in inside.items():
        try:
            json.dumps(part)
        except TypeError:
            return _no_json(where, part)
    return path, value


def load_checkpoint(path: PathLike, model: Module, optimizer: Optimizer | None = None,
                    scheduler: Any = None) -> State:
    """Take over what ``save_checkpoint`` wrote; returns its ``state``.

    The whole file is read and checked before anything changes. Raises FileNotFoundError;
    CheckpointError for a file that is damaged, of another kind, of a newer Etude, or of another
    model or optimiser. After an error all is as it was before.
    """
    path_first("load_checkpoint", path, model)
    saved = Saved(path)
    with uninterrupted(), ExitStack() as undo:
        saved.load_into(model, optimizer, scheduler, undo)
        undo.pop_all()
    return saved.state


class Saved:
    """The content of a checkpoint, read and checked as far as that goes without the objects that it
    is for. ``state`` is the one given to ``save_checkpoint``. CheckpointError as there.
    """

    def __init__(self, path: PathLike) -> None:
        arrays, metadata = _unpacked(path)
        text = _text(path, arrays, metadata)
        try:
            document = json.loads(text)
            checked(document, DOCUMENT, "the document")
            for stream in document["generators"].values():
                Generator().set_state(stream)
            _add_moments((document["optimizer"] or {"state": []})["state"], arrays)
            for name in arrays:
                if not name.startswith((MODEL, OPTIMIZER, STATE)):
                    raise ValueError(f"it has an array {name!r}, which nothing reads")
        except (ValueError, RecursionError) as error:
            raise _foreign(path, error) from None
        self.path = path
        self.weights = {k.removeprefix(MODEL): a for k, a in arrays.items() if k.startswith(MODEL)}
        self.document: State = document
        self.state: State = document["state"] | {
            k.removeprefix(STATE): a for k, a in arrays.items() if k.startswith(STATE)}

    def load_into(self, model: Module, optimizer: Optimizer | None, scheduler: Any,
                  undo: ExitStack) -> None:
        """Hand everything over. Should something not fit, CheckpointError, and closing ``undo``
        takes back what was handed over before that.
        """
        generators = _generators(model)
        missing = sorted(generators.keys() - self.document["generators"].keys())
        if missing:
            raise CheckpointError(f"{self.path}: has no state for the generator {missing[0]!r} of "
                                  f"this model; it was saved with another one")
        if optimizer is not None:
            saved = self._of("optimizer", optimizer)
            self.hand(saved, optimizer, undo, _optimizer_read)
        if scheduler is not None:
            self.hand(self._of("scheduler", scheduler)["state"], scheduler, undo)
        try:  # the last that may not fit: it writes nothing unless all of it fits
            model.load_state_dict(self.weights)
        except Exception as error:
            raise _unfitting(self.path, error) from error
        for name, generator in generators.items():
            generator.set_state(self.document["generators"][name])

    def hand(self, state: Any, into: Any, undo: ExitStack,
             made: Callable[[Any], Any] = lambda state: state) -> None:
        """``into.load_state_dict(made(state))``, which ``undo`` takes back. CheckpointError if that
        raises, whatever it is: what was saved may be of any class, and of any content.
        """
        before = into.state_dict()
        if not isinstance(into, Optimizer):  # its moments are replaced, never written into
            before = deepcopy(before)
        try:
            into.load_state_dict(made(state))
        except Exception as error:
            with suppress(Exception):  # one that never takes anything over has not changed either
                into.load_state_dict(before)
            raise _unfitting(self.path, error) from error
        undo.callback(into.load_state_dict, before)

    def _of(self, what: str, into: Any) -> State:
        """The part ``what`` of the document, if it is of the class of ``into``."""
        saved = self.document[what]
        kind = type(into).__name__
        if saved is None:
            raise CheckpointError(f"{self.path}: was saved without {what}, so there is nothing to "
                                  f"load into this {kind}")
        if saved["kind"] != kind:
            raise CheckpointError(f"{self.path}: its {what} is {saved['kind']}, yours is {kind}; "
                                  f"make the one it was saved with")
        return saved  # type: ignore[no-any-return]


def save_weights(path: PathLike, model: Module, about: Mapping[str, Any] | None = None) -> None:
    """Write the parameters and buffers of ``model`` alone, as a safetensors file that other
    programs read too: its keys are those of ``state_dict``. ``about``, JSON that says more, goes
    into its metadata. Errors as ``save_checkpoint``.
    """
    path_first("save_weights", path, model)
    arrays = {k: host_array(t) for k, t in model.state_dict().items()}
    write_arrays(path, arrays, {ABOUT: json.dumps(about or {}, sort_keys=True)})


def load_weights(path: PathLike, model: Module) -> None:
    """Copy the values of a safetensors file, or of a checkpoint, into ``model``.

    Raises FileNotFoundError, and CheckpointError if it is damaged or of another model; then the
    model is as before.
    """
    path_first("load_weights", path, model)
    load_into(path, model, read_weights(path)[0])


def read_weights(path: PathLike) -> tuple[dict[str, Array], Any]:
    """(arrays, about): what ``save_weights`` wrote. ``about`` is any JSON, and {} where the file,
    a checkpoint for one, says nothing. Errors as ``load_weights``.
    """
    arrays, metadata = _unpacked(path)
    if metadata.get("format") == FORMAT:
        return Saved(path).weights, {}
    try:
        return arrays, json.loads(metadata.get(ABOUT, "{}"))
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its metadata {ABOUT!r} is no JSON: {error}") from None


def load_into(path: PathLike, model: Module, arrays: Mapping[str, Array]) -> None:
    """Copy ``arrays``, read from ``path``, into ``model``; all or nothing, as ``load_weights``."""
    try:
        with uninterrupted():
            model.load_state_dict(arrays)
    except Exception as error:
        raise _unfitting(path, error) from error


def path_first(name: str, path: Any, model: Any) -> None:
    """TypeError unless the path of a file comes first, then a model."""
    if isinstance(model, Mapping):
        raise TypeError(f"{name}: got a dict, such as state_dict() gives, in the place of the "
                        f"model. The path comes first, then the model itself: "
                        f"{name}(path, model)")
    if not isinstance(path, (str, os.PathLike)) or not isinstance(model, Module):
        raise TypeError(f"{name}: got {type(path).__name__} and {type(model).__name__}. The path "
                        f"comes first, then the model: {name}(path, model)")


# ------------------------------------------------------------------ what goes in


def host_array(t: Tensor) -> Array:
    return np.asarray(t.detach().to("cpu").numpy())


def _generators(model: Module) -> dict[str, Generator]:
    """Every generator that training may draw from, by name; "" is the default one."""
    found = {"": default_generator}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, Generator) and value is not default_generator:
                found[f"{path}.{name}" if path else name] = value
    return found


def _optimizer_state(optimizer: Optimizer, arrays: dict[str, Array]) -> State:
    """The settings and counts of ``optimizer``; its moments go into ``arrays``."""
    saved = optimizer.state_dict()
    plain: list[State] = []
    for i, state in enumerate(saved["state"]):
        plain.append({k: v for k, v in state.items() if not isinstance(v, Tensor)})
        arrays.update({f"{OPTIMIZER}{i}.{k}": host_array(v) for k, v in state.items()
                       if isinstance(v, Tensor)})
    return {"kind": type(optimizer).__name__, "param_groups": saved["param_groups"],
            "state": plain}


def _add_moments(states: list[State], arrays: Mapping[str, Array]) -> None:
    """Put the moments of the optimiser into the states that they belong to. ValueError for one that
    belongs to none.
    """
    for key, array in arrays.items():
        if key.startswith(OPTIMIZER):
            number, _, name = key.removeprefix(OPTIMIZER).partition(".")
            if not (number.isdecimal() and int(number) < len(states) and name):
                raise ValueError(f"{key!r} is of none of the optimiser's {len(states)} parameters")
            states[int(number)][name] = array


def _optimizer_read(saved: State) -> State:
    """The state of an optimiser as it takes it: moments are Tensors, and what was a tuple before it
    became JSON is one again.
    """
    states = [{k: from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in s.items()}
              for s in saved["state"]]
    groups = [{k: tuple(v) if isinstance(v, list) and k != "params" else v
               for k, v in group.items()} for group in saved["param_groups"]]
    return {"state": states, "param_groups": groups}


def _plain(name: str, a: Array) -> Array:
    """``a`` as safetensors takes it. It writes the memory of an array as it lies, so an array with
    gaps or of the other byte order is copied first.
    """
    dtype = a.dtype.newbyteorder("=")
    number = (dtype.kind in "biuf" and dtype.itemsize <= 8) or dtype == np.complex64
    if not number or isinstance(a, np.ma.MaskedArray):
        raise TypeError(f"{name} is a {type(a).__name__} of {a.dtype}, and a file holds plain "
                        f"arrays of numbers: bool, integers, floats up to float64, complex64. "
                        f"Convert it, or give its tolist()")
    return np.asarray(a, dtype, order="C")


def write_arrays(path: PathLike, arrays: Mapping[str, Array], metadata: dict[str, str],
           text: str | None = None) -> None:
    """Every safetensors file is written here. ``text`` is the JSON of a checkpoint; the SHA-256
    over it and the arrays goes with it.

    The file takes the place of the one before only after it was read back, as loading reads it,
    and held against ``arrays``. CheckpointError if they differ.
    """
    arrays = {name: _plain(name, a) for name, a in arrays.items()}
    if text is not None:
        metadata = metadata | {"state": text, "sha256": _digest(arrays, text)}

    def verify(temporary: Path) -> None:
        try:
            found, header = _unpacked(temporary)
        except CheckpointError as error:
            raise _unlike(path, "it does not load") from error
        if header != metadata or found.keys() != arrays.keys():
            raise _unlike(path, "its header differs")
        for name, a in arrays.items():
            if not _same_bits(a, found[name]):
                raise _unlike(path, f"{name} differs")

    write_atomically(path, _in_order(safetensors_module().numpy.save(arrays, metadata)), verify)


def _in_order(file: bytes) -> bytes:
    """A safetensors file with its metadata in the order of their keys. safetensors writes them in
    a new order each time, so equal weights would be different files. The header is padded to a
    multiple of 8 bytes, and offsets count from its end.
    """
    size = int.from_bytes(file[:8], "little")
    header = header_of(file)
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + file[8 + size :]


def _same_bits(a: Array, b: Array) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(
        a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8))


def _unlike(path: PathLike, why: str) -> CheckpointError:
    return CheckpointError(f"{path}: not written, because what was written beside it does not read "
                           f"back as it was given ({why}). What was there before is as it was. "
                           f"Did another thread change an array meanwhile? If not, see whether "
                           f"the disk is sound, and try another version of safetensors")


# ------------------------------------------------------------------ what comes out, checked


def _text(path: PathLike, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> str:
    """The JSON of a checkpoint that is whole and of this version."""
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path}: a safetensors file, but no checkpoint of Etude. "
                              f"etude.load_weights reads the weights of a model from it")
    version = metadata.get("version", "")
    if not re.fullmatch(r"[0-9]{1,9}", version):
        raise _foreign(path, f"its version is {version!r}, which is no number")
    if int(version) > VERSION:
        raise CheckpointError(f"{path}: has version {version} of the format, and this "
                              f"Etude reads up to {VERSION}. Update it: pip install -U etude")
    text = metadata.get("state", "")
    if metadata.get("sha256") != _digest(arrays, text):
        raise _damaged(path, "its checksum does not match")
    return text


def _unpacked(path: PathLike) -> tuple[dict[str, Array], dict[str, str]]:
    """(arrays, metadata) of any safetensors file."""
    safetensors = safetensors_module()
    data = Path(path).read_bytes()
    try:
        arrays = safetensors.numpy.load(data)
        header = header_of(data)
    except KeyError as error:  # how safetensors 0.8.0 answers a dtype that NumPy lacks
        raise CheckpointError(f"{path}: holds an array of dtype {error.args[0]}, which NumPy does "
                              f"not have. Convert it to F32 with the program that wrote it; "
                              f"nothing was loaded") from None
    except (safetensors.SafetensorError, ValueError) as error:
        archive = data.startswith(b"PK\3\4")
        raise _damaged(path, "it is a zip archive; if torch.save wrote it, etude.load_torch reads "
                             "it" if archive else str(error)) from None
    return arrays, header.get("__metadata__") or {}  # null is allowed there too


def header_of(file: bytes) -> dict[str, Any]:
    """The JSON at the beginning of a safetensors file. ValueError for a name that comes twice, of
    which safetensors takes one.
    """
    size = int.from_bytes(file[:8], "little")
    found: dict[str, Any] = json.loads(file[8 : 8 + size], object_pairs_hook=_once)
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of a JSON object. ValueError for a name that comes twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice!r} comes twice")
    return found


def _damaged(path: PathLike, why: str) -> CheckpointError:
    return DamagedError(f"{path}: damaged, cut short, or no safetensors file ({why}). Use "
                        f"another copy or an earlier checkpoint; nothing was loaded")


def _foreign(path: PathLike, why: object) -> CheckpointError:
    return DamagedError(f"{path}: whole, but not as Etude writes a checkpoint: {why}. Use "
                        f"another copy or an earlier checkpoint; nothing was loaded")


def _unfitting(path: PathLike, error: Exception) -> CheckpointError:
    why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
    return CheckpointError(f"{path}: does not fit. {why}")


def _digest(arrays: Mapping[str, Array], text: str) -> str:
    """SHA-256 of the text and of each array, with its name, dtype and shape."""
    found = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        a = arrays[name]
        found.update(f"{name} {a.dtype.str} {a.shape}\n".encode())
        found.update(np.ascontiguousarray(a).data)
    return found.hexdigest()


def safetensors_module() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError:
        raise ImportError("checkpoints and weights are safetensors files, and safetensors is not "
                          "installed: pip install 'etude[checkpoint]'") from None
    return safetensors

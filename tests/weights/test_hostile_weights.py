"""Files that want to run code, to take all memory, or that say what cannot be: one clear error of
ours each, nothing run, and the model as it was.
"""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from handmade import ORDERED_DICT, archive, name, number, numbers, state, tensor, text

import etude
from etude import nn
from etude.train.checkpoint import CheckpointError, DamagedError

ONE = {"0": np.ones(1, "f4").tobytes()}


def refused(tmp_path, data, words, kind=CheckpointError):
    """Loading ``data`` into a model raises ``kind`` with ``words`` and changes nothing."""
    path = tmp_path / "bad.weights"
    path.write_bytes(data)
    model = nn.Linear(1, 1)
    before = {k: t.numpy().copy() for k, t in model.state_dict().items()}
    for into in (None, model):
        with pytest.raises(kind, match=words) as caught:
            etude.load_torch(path, into)
        assert str(path) in str(caught.value)
        assert type(caught.value) in (CheckpointError, DamagedError)
    for k, t in model.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), before[k])


# ------------------------------------------------------------------ code


class Runs:
    """A pickle of this would call ``call(*arguments)`` when pickle reads it."""

    def __init__(self, call, *arguments):
        self.way = call, arguments

    def __reduce__(self):
        return self.way


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_pickle_that_would_run_code_runs_none(tmp_path, protocol):
    marker = tmp_path / "marker"
    data = pickle.dumps({"w": Runs(open, str(marker), "w")}, protocol)
    refused(tmp_path, archive(data), r"(asks for '(_?io|builtins)\.open'|has the instruction )")
    assert not marker.exists()
    pickle.loads(data)["w"].close()  # the test would have noticed
    assert marker.exists()


GADGETS = {
    "GLOBAL": name("os", "system") + text("true") + pickle.TUPLE1 + pickle.REDUCE,
    "STACK_GLOBAL": text("os") + text("system") + pickle.STACK_GLOBAL + text("true")
    + pickle.TUPLE1 + pickle.REDUCE,
    "INST": pickle.MARK + text("true") + b"ios\nsystem\n",
    "OBJ": pickle.MARK + name("os", "system") + text("true") + pickle.OBJ,
    "NEWOBJ": name("builtins", "object") + pickle.EMPTY_TUPLE + pickle.NEWOBJ,
    "EXT1": pickle.EXT1 + b"\1",
    "PERSID": b"Pos\n",
    "an attribute of a name": name("torch", "FloatStorage.__init__"),
    "a module in a name": name("torch._utils", "os.system"),
    "a dict that calls": name("collections", "OrderedDict") + number(1) + pickle.TUPLE1
    + pickle.REDUCE,
    "a call of text": text("os.system") + pickle.EMPTY_TUPLE + pickle.REDUCE,
    "a call of a storage": name("torch", "FloatStorage") + pickle.EMPTY_TUPLE + pickle.REDUCE,
    "attributes of a tensor": tensor("0", "FloatStorage", (1,)) + ORDERED_DICT + pickle.BUILD,
    "numpy's scalar": name("numpy._core.multiarray", "scalar"),
    "numpy's array": name("numpy._core.multiarray", "_reconstruct"),
    "a whole model": name("__main__", "Net"),
    "a device": name("torch", "device"),
    "a quantised tensor": name("torch._utils", "_rebuild_qtensor"),
    "a complex storage": name("torch", "ComplexFloatStorage"),
}


@pytest.mark.parametrize("gadget", GADGETS)
def test_every_way_to_a_call_is_refused(tmp_path, gadget):
    refused(tmp_path, archive(state({"w": GADGETS[gadget]}), ONE),
            r"(asks for '|calls |has the instruction |gives attributes to )")


def test_what_a_file_asks_for_is_named(tmp_path):
    data = archive(state({"w": GADGETS["numpy's scalar"]}), ONE)
    refused(tmp_path, data, r"asks for 'numpy\._core\.multiarray\.scalar'; a state_dict has no "
                            r"need of that\. Nothing in the file was run")


def test_the_forms_that_cannot_be_read_without_running_them(tmp_path):
    legacy = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2)
    refused(tmp_path, legacy, "was written before PyTorch 1.6, and reading that form means running")
    refused(tmp_path, pickle.dumps({"w": 1}), "was written by pickle itself")
    data = archive(state({}), {"constants.pkl": b""}, more={"constants.pkl": b""})
    refused(tmp_path, data, "is a TorchScript program, with code in it; a state_dict has no")
    refused(tmp_path, b"version https://git-lfs.github.com/spec/v1", "it begins with b'version ht")
    refused(tmp_path, archive(state({}), byteorder=b"big"), "a machine of byte order b'big'")


# ------------------------------------------------------------------ sizes that cannot be


@pytest.mark.parametrize("options", [
    {"shape": (2**32,)}, {"shape": (2**32,), "strides": (0,), "count": 1},
    {"shape": (2**31, 2**31), "strides": (0, 0), "count": 1}, {"shape": (2**62,)},
    {"shape": (2,), "count": 1}, {"shape": (1,), "offset": 1, "count": 1},
    {"shape": (1,), "count": 2}, {"shape": (-1,), "count": 1}, {"shape": (1,), "strides": (-1,)},
    {"shape": (1,), "strides": ()}, {"shape": (1,) * 65},
    {"shape": (2**40, 2**40, 0), "count": 0}, {"shape": (1,), "offset": -1},
    {"shape": (0, 2**61), "count": 0}], ids=str)
def test_a_tensor_larger_than_its_numbers(tmp_path, options):
    data = archive(state({"w": tensor("0", "FloatStorage", **options)}), ONE)
    assert len(data) < 5000
    refused(tmp_path, data, "damaged, cut short, or no file of torch.save", DamagedError)


def test_many_views_of_one_storage_cannot_add_up_to_more_than_the_file(tmp_path):
    count = 100_000
    many = state({f"w{i}": tensor("0", "FloatStorage", (count - i,), count=count)
                  for i in range(500)})
    data = archive(many, {"0": bytes(4 * count)})
    refused(tmp_path, data, "together more than 16 times as large as the file", DamagedError)


def test_lists_that_hold_one_another_many_times(tmp_path):
    step = pickle.EMPTY_LIST + pickle.MARK + b"".join(
        [pickle.BINGET + b"\0"] * 20) + pickle.APPENDS + pickle.BINPUT + b"\0"
    first = pickle.EMPTY_LIST + pickle.BINPUT + b"\0"
    bomb = state([("a", first), *[(f"a{i}", step) for i in range(15)]])
    refused(tmp_path, archive(bomb), "together more than 16 times", DamagedError)
    step = pickle.EMPTY_LIST + pickle.BINGET + b"\0" + pickle.APPEND + pickle.BINPUT + b"\0"
    deep = state([("a", first), *[(f"a{i}", step) for i in range(5000)]])
    refused(tmp_path, archive(deep), "more than 20 deep", DamagedError)
    itself = pickle.EMPTY_LIST + pickle.BINPUT + b"\0" + pickle.BINGET + b"\0" + pickle.APPEND
    refused(tmp_path, archive(state({"w": itself})), "more than 20 deep", DamagedError)


# ------------------------------------------------------------------ archives and pickles in pieces


def packed_twice(key):
    """A valid archive with one entry once more."""
    file = io.BytesIO(archive(state({"w": tensor("0", "FloatStorage", (1,))}), ONE))
    with zipfile.ZipFile(file, "a") as made, pytest.warns(UserWarning, match="Duplicate name"):
        made.writestr(f"some name/{key}", b"")
    return file.getvalue()


def claiming(size):
    """A valid archive whose list of contents says that each entry has ``size`` bytes."""
    data = bytearray(archive(state({"w": tensor("0", "FloatStorage", (1,))}), ONE))
    at = data.find(b"PK\1\2")
    while at >= 0:
        data[at + 20 : at + 28] = size.to_bytes(4, "little") * 2
        at = data.find(b"PK\1\2", at + 1)
    return bytes(data)


VALID = archive(state({"w": tensor("0", "FloatStorage", (1,))}), ONE)
BROKEN = {
    "the name of an entry twice": (lambda: packed_twice("data/0"), "comes twice"),
    "the name of a tensor twice": (lambda: archive(state(
        [("w", tensor("0", "FloatStorage", (1,)))] * 2), ONE), "key 'w' comes twice"),
    "a compressed entry": (lambda: archive(state({}), ONE, packing=zipfile.ZIP_DEFLATED),
                           "is compressed or encrypted"),
    "no pickle": (lambda: archive(None), "with no data.pkl"),
    "two pickles": (lambda: archive(state({}), more={"a/data.pkl": b""}), "with 2 data.pkl"),
    "a storage that is missing": (lambda: archive(state(
        {"w": tensor("1", "FloatStorage", (1,))}), ONE), "has no entry 'some name/data/1'"),
    "a storage cut short": (lambda: archive(state({"w": tensor("0", "FloatStorage", (1,))}),
                                            {"0": b"123"}), "'0' has 3 bytes, and should have 1"),
    "a pickle cut short": (lambda: archive(state({})[:-1]), "no whole pickle|come to an end"),
    "a pickle of nothing": (lambda: archive(b"."), "no whole pickle"),
    "a value without a mark": (lambda: archive(b"\x80\2u."), "no whole pickle"),
    "a memo that was never set": (lambda: archive(b"\x80\2h\7."), "no whole pickle"),
    "a memo at a far place": (lambda: archive(b"\x80\2r\xff\xff\xff\xff."), "no whole pickle"),
    "a length beyond the end": (lambda: archive(b"\x80\2X\xff\xff\xff\x7fabc."), "no whole pickle"),
    "a bool of 7": (lambda: archive(state({"w": tensor("0", "BoolStorage", (1,))}), {"0": b"\7"}),
                    "neither 0 nor 1"),
    "a tensor without a storage": (lambda: archive(state({
        "w": name("torch._utils", "_rebuild_tensor_v2") + pickle.MARK + number(0) + number(0)
        + numbers(()) + numbers(()) + pickle.TUPLE + pickle.REDUCE})), "without a storage"),
    "an entry of 4 GB": (lambda: claiming(2**32 - 2), "4294967294 bytes is larger than the file"),
    "a changed number": (lambda: VALID.replace(ONE["0"], b"\0\0\0\0"), "Bad CRC-32"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_named(tmp_path, what):
    make, words = BROKEN[what]
    refused(tmp_path, make(), words, DamagedError)


def test_a_file_cut_short_anywhere(tmp_path):
    for end in range(1, len(VALID) - 1, 7):
        refused(tmp_path, VALID[:end], "damaged, cut short, or n", DamagedError)


def test_what_holds_no_tensors(tmp_path):
    refused(tmp_path, archive(b"\x80\2K\1."), r"holds a int, and no dict of tensors")
    refused(tmp_path, archive(state({"w": number(1)})), r"w is a builtins\.int, and no tensor")
    refused(tmp_path, archive(pickle.dumps({1: 2}, 2)), r"has the key '1', and the names")
    refused(tmp_path, b"{}", "is JSON. If it is the index of several files, load each of them")
    with pytest.raises(CheckpointError, match="is a folder; give the path of the file in it"):
        etude.load_torch(tmp_path)
    with pytest.raises(FileNotFoundError):
        etude.load_torch(tmp_path / "none.pt")
    with pytest.raises(TypeError, match=r"a source is a state_dict, .* got Linear\. Give its st"):
        etude.load_torch(nn.Linear(1, 1))


# ------------------------------------------------------------------ safetensors


def safe(header, numbers=bytes(4)):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + numbers


def spec(shape=(1,), offsets=(0, 4), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


SAFE = {
    "cut in the header": safe({"w": spec()})[:20], "cut in the numbers": safe({"w": spec()})[:-1],
    "more at the end": safe({"w": spec()}, bytes(5)),
    "a header longer than the file": (2**40).to_bytes(8, "little") + b"x" * 100,
    "a header of 2^63": (2**63).to_bytes(8, "little") + b"x" * 100,
    "no JSON": safe(b"x" * 30), "lists in lists": safe(b'{"w":' + b"[" * 50_000),
    "a dimension of 2^32": safe({"w": spec([2**32])}),
    "a dimension of 2^64": safe({"w": spec([2**64 - 1, 2**64 - 1])}),
    "a dimension below 0": safe({"w": spec([-1])}),
    "an empty one beyond memory": safe({"w": spec([0, 2**63], (0, 0))}, b""),
    "the same numbers twice": safe({"v": spec(), "w": spec()}),
    "overlapping": safe({"v": spec([2], [0, 8]), "w": spec([2], [4, 12])}, bytes(12)),
    "a gap": safe({"v": spec(), "w": spec([1], [8, 12])}, bytes(12)),
    "offsets backwards": safe({"w": spec([1], [4, 0])}),
    "an unknown dtype": safe({"w": spec(dtype="F99")}),
    "a name twice": safe(b'{"w":' + json.dumps(spec()).encode() + b',"w":'
                         + json.dumps(spec()).encode() + b"}"),
    "empty": b"", "eight bytes": bytes(8),
}


@pytest.mark.parametrize("what", SAFE)
@pytest.mark.usefixtures("safetensors")
def test_a_safetensors_file_that_cannot_be(tmp_path, what):
    refused(tmp_path, SAFE[what], r"bad\.weights: (damaged, cut short, or|w has the shape)",
            DamagedError)


@pytest.mark.usefixtures("safetensors")
def test_a_name_twice_is_refused_by_load_weights_too(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(SAFE["a name twice"])
    with pytest.raises(DamagedError, match=r"w\.safetensors: damaged.*the name 'w' comes twice"):
        etude.load_weights(path, nn.Linear(1, 1))


@pytest.mark.usefixtures("safetensors")
def test_a_dtype_that_etude_has_no_place_for(tmp_path):
    for dtype, size in (("F8_E4M3", 1), ("C64", 8), ("U64", 8)):
        data = safe({"w": spec([1], [0, size], dtype)}, bytes(size))
        refused(tmp_path, data, "w is (F8_E4M3|C64|U64|uint64), for which Etude has no exact place")


@pytest.mark.usefixtures("safetensors")
def test_the_weights_of_a_safetensors_file_come_in_its_order(tmp_path):
    model = etude.nn.Sequential(*[etude.nn.Linear(2, 2) for _ in range(8)])
    etude.save_torch(tmp_path / "w.safetensors", model)
    names = list(etude.load_torch(tmp_path / "w.safetensors"))
    assert names == sorted(names)
    assert len(names) == 16


@pytest.mark.usefixtures("safetensors")
def test_halves_in_a_safetensors_file(tmp_path):
    path = tmp_path / "w.safetensors"
    path.write_bytes(safe({"b": spec([2], [0, 4], "BF16"), "h": spec([2], [4, 8], "F16")},
                          np.array([0x3FC0, 0xFF80], "<u2").tobytes()
                          + np.array([1.5, -np.inf], "<f2").tobytes()))
    found = etude.load_torch(path)
    assert found["b"].tolist() == found["h"].tolist() == [1.5, -np.inf]
    with pytest.raises(CheckpointError, match=r"w.safetensors: \w is b?float16, and widen=False"):
        etude.load_torch(path, widen=False)

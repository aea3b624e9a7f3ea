"""Files of torch.save are read without PyTorch: every dtype, layout and form that it writes.

``torch-2.14.1.pt`` in this folder was written by PyTorch 2.14.1; its text is below.
"""

import io
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from handmade import ORDERED_DICT, archive, name, number, state, tensor, text

import etude
from etude import Tensor, float32, int64
from etude.core.shapes import bool_
from etude.train.checkpoint import CheckpointError

BY_TORCH = Path(__file__).parent / "torch-2.14.1.pt"


@pytest.fixture
def load(tmp_path):
    def loaded(data, **options):
        path = tmp_path / "w.pt"
        path.write_bytes(data)
        return etude.load_torch(path, **options)

    return loaded


def one(kind, array, **options):
    """The bytes of a file with one tensor ``w``."""
    return archive(state({"w": tensor("0", kind, array.shape, **options)}), {"0": array.tobytes()})


def test_a_file_that_pytorch_wrote():
    """torch.save({"weight": torch.arange(6.).reshape(2, 3).T, "half": torch.tensor([1.5],
    dtype=torch.bfloat16), "count": torch.tensor(7), "mask": torch.tensor([True, False])}, path)
    """
    found = etude.load_torch(BY_TORCH)
    assert list(found) == ["weight", "half", "count", "mask"]
    assert all(isinstance(t, Tensor) for t in found.values())
    assert found["weight"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["weight"].data.flags.c_contiguous
    assert (found["half"].dtype, found["half"].tolist()) == (float32, [1.5])
    assert (found["count"].dtype, found["count"].item()) == (int64, 7)
    assert (found["mask"].dtype, found["mask"].tolist()) == (bool_, [True, False])


@pytest.mark.parametrize(("kind", "dtype", "becomes"), [
    ("FloatStorage", "f4", "f4"), ("DoubleStorage", "f8", "f8"), ("HalfStorage", "f2", "f4"),
    ("LongStorage", "i8", "i8"), ("IntStorage", "i4", "i8"), ("ShortStorage", "i2", "i8"),
    ("CharStorage", "i1", "i8"), ("ByteStorage", "u1", "i8"), ("BoolStorage", "?", "?")])
def test_every_dtype_comes_with_its_values(load, kind, dtype, becomes):
    a = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    found = load(one(kind, a))["w"]
    assert found.data.dtype == becomes
    assert found.tolist() == a.tolist()


def test_every_bfloat16_and_float16_has_its_value_in_float32(load):
    bits = np.arange(65536, dtype=np.uint16)
    found = load(one("BFloat16Storage", bits))["w"].data
    assert (found.view(np.uint32) == bits.astype(np.uint32) << 16).all()
    found = load(one("HalfStorage", bits))["w"].data
    np.testing.assert_array_equal(found, bits.view(np.float16).astype(np.float32))


@pytest.mark.parametrize("kind", ["BFloat16Storage", "HalfStorage"])
def test_halves_are_refused_on_request(load, kind):
    with pytest.raises(CheckpointError, match=r"w\.pt: w is b?float16, and widen=False refuses"):
        load(one(kind, np.zeros(3, np.uint16)), widen=False)


@pytest.mark.parametrize(("options", "values"), [
    ({"shape": (3, 2), "strides": (1, 3)}, [[0, 3], [1, 4], [2, 5]]),
    ({"shape": (2,), "strides": (2,), "offset": 1}, [1, 3]),
    ({"shape": (), "strides": ()}, 0.0), ({"shape": (0, 3)}, []), ({"shape": (2, 0)}, [[], []]),
    ({"shape": (1, 6), "strides": (99, 1)}, [[0, 1, 2, 3, 4, 5]])])
def test_views_of_a_storage(load, options, values):
    data = state({"w": tensor("0", "FloatStorage", count=6, **options)})
    found = load(archive(data, {"0": np.arange(6, dtype="f4").tobytes()}))["w"]
    assert found.tolist() == values
    assert found.shape == options["shape"]


def test_two_tensors_of_one_storage_are_told_apart(load):
    data = state({"a": tensor("0", "FloatStorage", (2,), count=4),
                  "b": tensor("0", "FloatStorage", (2,), offset=2, count=4)})
    found = load(archive(data, {"0": np.arange(4, dtype="f4").tobytes()}))
    assert (found["a"].tolist(), found["b"].tolist()) == ([0, 1], [2, 3])


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_numbers_lists_and_protocols(load, protocol):
    saved = {"epoch": 3, "lr": 0.5, "list": [1, (2, 3), None, True], "huge": 2**40}
    with pytest.raises(CheckpointError, match=r"epoch is a builtins.int, and no tensor"):
        load(archive(pickle.dumps(saved, protocol)))


def test_parameters_metadata_and_small_instructions(load):
    """A state_dict has an attribute; nn.Parameter has a name of its own; a dict may be filled one
    by one, and its parts numbered for later.
    """
    w = tensor("0", "FloatStorage", (1,)) + pickle.BINPUT + b"\7"
    p = (name("torch._utils", "_rebuild_parameter") + pickle.MARK + pickle.BINGET + b"\7"
         + pickle.NEWTRUE + ORDERED_DICT + pickle.TUPLE + pickle.REDUCE)
    end = (text("q") + pickle.BINGET + b"\7" + pickle.SETITEM + pickle.EMPTY_DICT
           + text("_metadata") + ORDERED_DICT + pickle.SETITEM + pickle.BUILD + pickle.STOP)
    found = load(archive(state({"w": w, "p": p}, end), {"0": np.ones(1, "f4").tobytes()}))
    assert {k: t.tolist() for k, t in found.items()} == {"w": [1], "p": [1], "q": [1]}


def test_a_part_of_a_checkpoint(load):
    inner = state({"w": tensor("0", "FloatStorage", (1,))}, b"")[2:]
    data = archive(state({"model": inner, "epoch": number(3)}), {"0": np.ones(1, "f4").tobytes()})
    assert load(data, part="model")["w"].tolist() == [1]
    with pytest.raises(CheckpointError, match=(
            r"holds a dict of 2: model \(a dict of 1 entries with tensors\), epoch \(int\)\. Say "
            r"which are the weights: load_torch\(\.\.\., part='model'\)")):
        load(data)
    with pytest.raises(CheckpointError, match=r"has no part 'net'\. It holds a dict of 2: model"):
        load(data, part="net")


def test_what_a_file_is_its_bytes_tell(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    shutil.copy(BY_TORCH, path)
    assert len(etude.load_torch(str(path))) == 4


def test_a_file_from_before_the_entry_byteorder(load):
    data = archive(state({"w": tensor("0", "FloatStorage", (1,))}), {"0": bytes(4)}, None)
    assert load(data)["w"].tolist() == [0]


def test_a_file_with_entries_nobody_reads_loads(load):
    file = io.BytesIO(BY_TORCH.read_bytes())
    with zipfile.ZipFile(file, "a") as archive_:
        archive_.writestr("x/.data/serialization_id", "1")
    assert len(load(file.getvalue())) == 4

"""Files for PyTorch: what is written is read back equal, and equal weights are equal files."""

import io
import zipfile

import numpy as np
import pytest

import etude
from etude import models, nn
from etude.weights.pt import read_pt
from etude.weights.pt_write import pt_bytes

MODELS = {"mlp": lambda: models.mlp(6, 4, 3), "lenet": models.lenet,
          "resnet20": lambda: models.resnet20(1, 10, 1),
          "lstm": lambda: models.char_rnn(5, 4, 2, "lstm"),
          "gru": lambda: models.char_rnn(5, 4, 1, "gru"),
          "gpt": lambda: models.gpt(7, 5, 2, 2, 8)}


def numbers(model):
    return {k: t.numpy().copy() for k, t in model.state_dict().items()}


@pytest.mark.parametrize("ending", [".pt", ".pth", ".bin", ".safetensors"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_model_comes_back(name, ending, dtype, tmp_path, request):
    if ending == ".safetensors":
        request.getfixturevalue("safetensors")
    model, other = MODELS[name]().to(dtype), MODELS[name]().to(dtype)
    path = tmp_path / f"w{ending}"
    etude.save_torch(path, model)
    first = path.read_bytes()
    etude.save_torch(path, etude.load_torch(path, other))
    assert path.read_bytes() == first
    for (a, x), (b, y) in zip(numbers(model).items(), numbers(other).items(), strict=True):
        assert a == b
        np.testing.assert_array_equal(x, y)


@pytest.mark.usefixtures("safetensors")
def test_a_layout_is_written_as_it_is_read(tmp_path):
    model = models.gpt(7, 5, 2, 2, 8)
    for path in (tmp_path / "w.pt", tmp_path / "w.safetensors"):
        etude.save_torch(path, model, "gpt2")
        found = etude.load_torch(path)
        weight = found["transformer.h.0.attn.c_attn.weight"]
        np.testing.assert_array_equal(weight.numpy().T,
                                      model.blocks[0].attention.in_proj_weight.detach().numpy())
        assert "lm_head.weight" in found


def test_a_pt_file_is_laid_out_as_torch_lays_it_out(tmp_path):
    path = tmp_path / "w.pt"
    etude.save_torch(path, nn.BatchNorm1d(3))
    with zipfile.ZipFile(path) as archive:
        names = [e.filename for e in archive.infolist()]
        assert names[:2] == ["archive/data.pkl", "archive/byteorder"]
        assert {e.compress_type for e in archive.infolist()} == {zipfile.ZIP_STORED}
        data = path.read_bytes()
        for entry in archive.infolist():  # numbers begin at multiples of 64
            start = entry.header_offset
            extra = int.from_bytes(data[start + 28 : start + 30], "little")
            assert (start + 30 + len(entry.filename) + extra) % 64 == 0
        assert archive.read("archive/byteorder") == b"little"


def test_arrays_of_every_shape():
    arrays = {"0-d": np.array(2.5), "empty": np.zeros((0, 3), "f4"), "no columns": np.zeros((2, 0)),
              "bool": np.array([True, False]), "h\u00e9": np.arange(3)}
    found = read_pt(io.BytesIO(pt_bytes(arrays)))
    assert list(found) == list(arrays)
    for name, a in arrays.items():
        assert (found[name].dtype, found[name].shape) == (a.dtype, a.shape)
        np.testing.assert_array_equal(found[name], a)


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match=r"ends in '\.onnx', and the ending says how to write"):
        etude.save_torch(tmp_path / "w.onnx", nn.Linear(1, 1))
    with pytest.raises(TypeError, match="The path comes first, then the model"):
        etude.save_torch(nn.Linear(1, 1), tmp_path / "w.pt")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError, match="no such folder"):
        etude.save_torch(tmp_path / "none" / "w.pt", nn.Linear(1, 1))

"""Every kind of file that Etude and its kit read. A new one is a row: valid files, and a reader.

``make()`` gives the bytes of valid files. ``read(path)`` reads one as a user would. Where a format
has checksums, or is packed, ``seal`` makes a whole file of bytes that were changed: half of the
mutants are damaged before it, and reach what a checksum would have kept them from.
"""

import gzip
import io
import json
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import etude
from etude import data, models, nn, optim
from etude.train.trained import Trained

DRAW = np.random.default_rng(0)
GREY = DRAW.integers(0, 256, (9, 11), np.uint8)
COLOUR = DRAW.integers(0, 256, (9, 11, 3), np.uint8)

FORMATS: dict[str, "Format"] = {}


@dataclass(frozen=True)
class Format:
    """One row. ``needs``: the packages that it is read with."""

    name: str
    file: str  # the name that a valid file has
    make: Callable[[], list[bytes]]
    read: Callable[[Path], Any]
    seal: Callable[[bytes], bytes] | None = None
    needs: tuple[str, ...] = field(default=())

    def __post_init__(self):
        FORMATS[self.name] = self


MARK = b"\n\0MARK\0\n"  # where a header ends, whose length ``seal`` states

# ------------------------------------------------------------------ weights and checkpoints


def _parts(seed=1):
    etude.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2))
    return model, optim.AdamW(model.parameters(), lr=1e-2)


def _saved(save, ending=""):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"saved{ending}"
        save(path)
        return [path.read_bytes()]


def _parted(files):
    """Safetensors files as header, MARK and numbers: the length before the header left out."""
    lengths = [int.from_bytes(file[:8], "little") for file in files]
    return [f[8 : 8 + n] + MARK + f[8 + n :] for f, n in zip(files, lengths)]


def _with_length(parted):
    header, _, numbers = parted.partition(MARK)
    return len(header).to_bytes(8, "little") + header + numbers


def _with_checksum(parted):
    """A checkpoint with the checksum of what is now in it, if that is a safetensors file at all."""
    import safetensors.numpy

    from etude.train.checkpoint import _digest

    file = _with_length(parted)
    try:
        arrays = safetensors.numpy.load(file)
        metadata = json.loads(parted.partition(MARK)[0])["__metadata__"]
        metadata["sha256"] = _digest(arrays, metadata["state"])
        return safetensors.numpy.save(arrays, metadata)
    except Exception:  # of whatever a header can hold
        return file


def _checkpoint():
    model, optimizer = _parts()
    model(etude.tensor(np.ones((2, 3), np.float32))).sum().backward()
    optimizer.step()
    return _saved(lambda path: etude.save_checkpoint(
        path, model, optimizer, optim.StepLR(optimizer, 2), {"losses": np.ones(5), "at": 1}))


def _resume(path):
    model, optimizer = _parts(2)
    etude.load_checkpoint(path, model, optimizer, optim.StepLR(optimizer, 2))


Format("safetensors weights", "w.safetensors", needs=("safetensors",), seal=_with_length,
       make=lambda: _parted(_saved(lambda path: etude.save_weights(path, _parts()[0]))),
       read=lambda path: etude.load_weights(path, _parts(2)[0]))
Format("weights that say which model they are of", "w.safetensors", needs=("safetensors",),
       seal=_with_length, read=Trained.read, make=lambda: _parted(_saved(
           lambda path: etude.save_weights(path, models.mlp(3, 4, 2), {
               "model": "mlp", "arguments": {"inputs": 3, "hidden": [4], "classes": 2}}))))
Format("checkpoint", "step-00000001.safetensors", needs=("safetensors",), seal=_with_checksum,
       make=lambda: _parted(_checkpoint()), read=_resume)

def _pt_parted(valid):
    """The pickle and the numbers of a .pt file, parted by MARK."""
    with zipfile.ZipFile(io.BytesIO(valid)) as archive:
        return MARK.join(archive.read(f"archive/{name}") for name in PT_ENTRIES)


def _pt_whole(parted):
    """The archive of a pickle and numbers, with the checksums of what is now in them."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in zip(PT_ENTRIES, parted.split(MARK)):
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


PT_ENTRIES = ("data.pkl", "byteorder", *(f"data/{i}" for i in range(9)))


def _of_torch(ending):
    return _saved(lambda path: etude.save_torch(path, _parts()[0]), ending)


def _load_torch(path):
    """Into a model, which must be as before where the file is refused."""
    model = _parts(2)[0]
    before = [t.numpy().tobytes() for t in model.state_dict().values()]
    try:
        etude.load_torch(path, model)
    except BaseException:
        if before != [t.numpy().tobytes() for t in model.state_dict().values()]:
            raise AssertionError(f"{path}: half loaded") from None
        raise


Format("weights of PyTorch", "w.pt", lambda: [_pt_parted(f) for f in _of_torch(".pt")],
       _load_torch, _pt_whole)
Format("weights of PyTorch in safetensors", "w.safetensors", needs=("safetensors",),
       seal=_with_length, make=lambda: _parted(_of_torch(".safetensors")), read=_load_torch)

# ------------------------------------------------------------------ ONNX


def _onnx():
    """Models with most of what a file can hold: a convolution and its kin; a local function with
    an attribute of its caller, a subgraph, a constant, and numbers in fields instead of bytes.
    Field by field, as ``_binary`` reads them: in the file everything has its length before it, and
    hardly anything that is changed there is a file still.
    """
    from onnx import TensorProto, helper, numpy_helper

    def value(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    def model(nodes, inputs, outputs, initialisers=(), **more):
        graph = helper.make_graph(nodes, "g", inputs, outputs, initialisers)
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
        made = helper.make_model(graph, ir_version=9, opset_imports=opsets, **more)
        return "\n".join(_lines(made)).encode()

    node = helper.make_node
    weights = [numpy_helper.from_array(DRAW.normal(size=shape).astype(np.float32), name)
               for name, shape in (("c.weight", (2, 1, 3, 3)), ("c.bias", (2,)), ("mean", (2,)),
                                   ("var", (2,)), ("f.weight", (3, 8)))]
    image = model(
        [node("Conv", ["x", "c.weight", "c.bias"], ["a"], pads=[1, 1, 1, 1]),
         node("BatchNormalization", ["a", "c.bias", "c.bias", "mean", "var"], ["b"]),
         node("MaxPool", ["b"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
         node("Constant", [], ["s"], value=numpy_helper.from_array(np.array([0, -1]))),
         node("Reshape", ["p", "s"], ["r"]), node("Gemm", ["r", "f.weight"], ["y"], transB=1)],
        [value("x", "batch", 1, 4, 4)], [value("y", "batch", 3)], weights)
    branches = [helper.make_graph([node(op, ["x"], [op])], op, [], [value(op, "n")])
                for op in ("Relu", "Neg")]
    scaled = helper.make_function(
        "own", "Scaled", ["a"], ["b"],
        [node("Constant", [], ["k"], value_float=2.0),
         node("LeakyRelu", ["a"], ["l"], alpha=0.5), node("Mul", ["l", "k"], ["b"])],
        [helper.make_opsetid("", 17)], ["alpha"])
    scaled.node[1].attribute[0].ClearField("f")
    scaled.node[1].attribute[0].ref_attr_name = "alpha"
    flow = model(
        [node("Scaled", ["x"], ["z"], domain="own", alpha=0.25),
         node("ReduceSum", ["z"], ["t"], keepdims=0), node("Greater", ["t", "zero"], ["if"]),
         node("If", ["if"], ["y"], then_branch=branches[0], else_branch=branches[1])],
        [value("x", "n")], [value("y", "n")],
        [helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])], functions=[scaled])
    return [image, flow]


def _lines(message, path=""):
    """graph 0 node 0 op_type 0 = "Conv": the number counts what a field has several of."""
    for known, value in message.ListFields():
        many = [value] if hasattr(value, "ListFields") or np.isscalar(value) else value
        for i, part in enumerate(many):
            where = f"{path}{known.name} {i} "
            if hasattr(part, "ListFields"):
                yield from _lines(part, where)
            else:
                text = part.decode("latin-1") if isinstance(part, bytes) else part
                yield f"{where}= {json.dumps(text)}"


def _binary(lines):
    """The file that the lines describe. A line that no model can hold is left out."""
    from onnx import ModelProto

    model = ModelProto()
    for line in lines.decode("latin-1").split("\n"):
        path, _, text = line.partition("= ")
        try:
            _set(model, path.split(), json.loads(text))
        except Exception:  # of whatever a line can say
            continue
    return model.SerializeToString()


def _set(message, path, value):
    *steps, name, _ = path
    for step, number in zip(steps[::2], map(int, steps[1::2])):
        message = getattr(message, step)
        if hasattr(message, "add"):
            while len(message) <= number < 50:
                message.add()
            message = message[number]
    kind, known = message.DESCRIPTOR.fields_by_name[name], getattr(message, name)
    value = value.encode("latin-1") if kind.type == kind.TYPE_BYTES else value
    if hasattr(known, "append"):
        known.append(value)
    else:
        setattr(message, name, value)


def _read_onnx(path):
    model = etude.onnx.load(path)
    repr(model), model.state_dict()


Format("ONNX", "model.onnx", _onnx, _read_onnx, _binary, ("onnx",))

# ------------------------------------------------------------------ images


def _image(mode):
    """Reads the one file of a folder of images, as it is and resized."""
    def read(path):
        root = path.parent.parent
        data.ImageFolder(root, mode=mode)[0]
        data.ImageFolder(root, mode=mode, size=(5, 6))[0]
    return read


def _npy():
    """Headers and numbers of arrays, parted by MARK."""
    files = []
    for array in (GREY, GREY / np.float32(255)):
        whole = io.BytesIO()
        np.save(whole, array)
        header, _, numbers = whole.getvalue()[10:].partition(b"\n")
        files.append(header.rstrip() + MARK + numbers)
    return files


def _npy_file(parted):
    header, _, numbers = parted.partition(MARK)
    length = struct.pack("<H", (len(header) + 1) % 2**16)
    return b"\x93NUMPY\1\0" + length + header + b"\n" + numbers


def _pillow(kind, *images, **options):
    """Files that Pillow makes of images."""
    def make():
        from PIL import Image

        files = [io.BytesIO() for _ in images]
        for file, image in zip(files, images):
            first, *others = image if isinstance(image, list) else [image]
            more = {"save_all": True, "append_images": [Image.fromarray(f) for f in others]}
            Image.fromarray(first).save(file, kind, **options, **(more if others else {}))
        return [file.getvalue() for file in files]
    return make


def _png_sums(changed):
    """A PNG whose chunks have the checksums of what is now in them."""
    out, at = [changed[:8]], 8
    while at + 12 <= len(changed):
        length = int.from_bytes(changed[at : at + 4], "big")
        body = changed[at + 4 : at + 8 + length]
        out += [changed[at : at + 4], body, struct.pack(">I", zlib.crc32(body))]
        at += 12 + length
    return b"".join(out) + changed[at:]


DEEP = (COLOUR[..., 0].astype(np.uint16) * 257, GREY / np.float32(255))

Format("NPY", "1.npy", _npy, _image("L"), _npy_file)
Format("PGM", "1.pgm", lambda: [b"P5\n# a comment\n11 9\n255\n" + GREY.tobytes()], _image("L"))
Format("PPM", "1.ppm", lambda: [b"P6 11 9 255\n" + COLOUR.tobytes()], _image("RGB"))
Format("PNG", "1.png", _pillow("PNG", GREY, COLOUR, DEEP[0]), _image("RGB"), _png_sums, ("PIL",))
Format("GIF", "1.gif", _pillow("GIF", GREY, COLOUR, [GREY, 255 - GREY]), _image("RGB"),
       needs=("PIL",))
Format("JPEG", "1.jpg", _pillow("JPEG", GREY, COLOUR), _image("L"), needs=("PIL",))
Format("BMP", "1.bmp", _pillow("BMP", GREY, COLOUR), _image("RGB"), needs=("PIL",))
Format("WebP", "1.webp", _pillow("WEBP", COLOUR, [COLOUR, 255 - COLOUR]), _image("RGB"),
       needs=("PIL",))
Format("TIFF", "1.tif", _pillow("TIFF", GREY, COLOUR, *DEEP, [GREY, 255 - GREY]), _image("RGB"),
       needs=("PIL",))
Format("TIFF, packed", "1.tiff", _pillow("TIFF", GREY, COLOUR, compression="tiff_adobe_deflate"),
       _image("RGB"), needs=("PIL",))

# ------------------------------------------------------------------ tables of numbers


def _idx():
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", 4, 9, 11)
    floats = bytes([0, 0, 13, 1]) + struct.pack(">I", 5) + np.arange(5, dtype=">f4").tobytes()
    return [header + DRAW.integers(0, 256, 4 * 9 * 11, np.uint8).tobytes(), floats]


CSV = b"""length,width,"kind, as named",note
5.1,3.5,setosa,1
4.9,3.0,"versi""color",2
6.2,-1e-3,setosa,3
"""


def _mnist_lines():
    rows = DRAW.integers(0, 256, (3, 785), np.uint8)
    rows[:, -1] %= 10
    return ["\n".join(",".join(map(str, row)) for row in rows).encode()]


def _table(path):
    data.CSVDataset(path, "kind, as named", columns=["length", "width"])[0]


Format("IDX", "x-idx3-ubyte", _idx, data.read_idx)
Format("IDX in gzip", "x-idx3-ubyte.gz", _idx, data.read_idx, gzip.compress)
Format("CSV", "t.csv", lambda: [CSV], _table)
Format("CSV in gzip", "t.csv.gz", lambda: [CSV], _table, gzip.compress)
Format("MNIST as CSV", "mnist_5k.csv", _mnist_lines, data.mnist)

# ------------------------------------------------------------------ tokenizers


def _tokenizer(kind):
    return lambda: _saved(lambda path: kind.train("the cat sat on the mat. " * 20).save(path))


Format("characters", "char.json", _tokenizer(data.CharTokenizer), data.CharTokenizer.load)
Format("byte pairs", "bpe.json", _tokenizer(data.BPETokenizer), data.BPETokenizer.load)

# ------------------------------------------------------------------ runs and searches


def _config():
    from etude.train import config

    return [config.example().toml().encode(), config.example().toml(comments=True).encode()]


def _read_config(path):
    from etude.train.config import RunConfig

    RunConfig.read(path).toml()


SPACE = {"optimizer.lr": {"low": 1e-4, "high": 1.0, "log": True},
         "model.hidden": {"choices": [[8], [16, 8]]}}


@cache
def _settings():
    from etude.train.config import RunConfig

    return RunConfig.of({"data": {"batch_size": 500}, "training": {"epochs": 1},
                         "tune": {"trials": 3, "space": SPACE}})


def _search(folder):
    from etude.train.tuning import Search

    return Search(_settings(), folder)


def _study():
    with tempfile.TemporaryDirectory() as folder:
        search = _search(Path(folder))
        search.run()
        search.close()
        path = Path(folder) / "study.db"
        with closing(sqlite3.connect(path)) as database:
            database.execute("PRAGMA page_size = 512")  # little is empty, and damage does harm
            database.execute("VACUUM")
        return [path.read_bytes()]


def _go_on(path):
    search = _search(path.parent)
    for trial in search.trials():
        search.settings(trial), search.value(trial)
    if search.complete():
        search.best()
    search.close()


Format("TOML config", "run.toml", _config, _read_config)
Format("study of a search", "study.db", _study, _go_on, needs=("optuna",))



def _peaks():
    from etude.measure import Peak, Peaks

    found = Peaks({"processor": "any", "node": "here"}, "2026-11-28T09:00:00+00:00",
                  (Peak(1, 4e10, 2e10, 1e10), Peak(2, 8e10, 4e10, 1.5e10)))
    return [found.json().encode()]


def _read_peaks(path):
    from etude.measure import Peaks

    str(Peaks.read(path).of(2))


Format("peaks of a machine", "peaks.json", _peaks, _read_peaks)

# ------------------------------------------------------------------ what the kit reads


def _report():
    from etude_check.report import json as as_json
    from etude_check.report.record import Record, Report, Screen, Verdict

    records = [Record("softmax/tail/0@0", "softmax", "softmax", "tail", "float32", verdict,
                      ratio=0.5)
               for verdict in Verdict]
    screens = [Screen("relu", "float32", "y", {"zeros": 2, "input": 0}, {"input": "why"})]
    return [as_json.dumps(Report("mine", "full", 0, records, screens, ["a note"])).encode()]


def _read_report(path):
    """``loads`` takes text, and so cannot know the file; its error is that of a file here."""
    from etude_check.report import json as as_json

    try:
        as_json.loads(path.read_text("utf-8", "surrogateescape"))
    except ValueError as error:
        if type(error) is ValueError:
            raise ValueError(f"{path}: {error}") from error
        raise


COLUMN = b"""import etude
import numpy as np

@etude.implements("softmax")
def softmax(x, *, dim=-1):
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)
"""


def _look_at(path):
    """What the kit does with a column before a worker runs it."""
    from etude_check.worker.candidate import Candidate, prepare

    prepare(Candidate.parse(module=path))


def _library():
    """The headers of a shared library: ELF of 64 bits with two segments and two sections, and
    Mach-O."""
    segments = b"".join(struct.pack("<IIQQQQQQ", 1, 5, at, at, at, 64, 64, 64) for at in (0, 64))
    sections = b"".join(struct.pack("<IIQQQQIIQQ", 0, kind, 0, 0, 300, 20, 0, 0, 1, 0)
                        for kind in (1, 8))
    head = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 176, 0,
                                                    64, 56, 2, 64, 2, 0)
    elf = head + segments + sections + bytes(20)
    segment = struct.pack("<II16sQQQQ", 0x19, 72, b"__TEXT", 0, 64, 0, 64) + bytes(16)
    mach = struct.pack("<IIIIIII4x", 0xFEEDFACF, 7, 3, 6, 1, 72, 0) + segment + bytes(100)
    return [elf, mach]


def _whole(path):
    from etude.backends.native.image import missing

    if problem := missing(path):
        raise ValueError(f"{path}: {problem}")


Format("report of the kit", "report.json", _report, _read_report, needs=("etude_check",))
Format("column in Python", "column.py", lambda: [COLUMN], _look_at, needs=("etude_check",))
Format("headers of a library", "column.so", _library, _whole)

"""Files as ``torch.save`` lays them out, made by hand, which can say what PyTorch never would.

``archive(state({"w": tensor("0", "FloatStorage", (2, 3))}), {"0": bytes})`` is a valid one.
"""

import io
import math
import pickle
import struct
import zipfile


def name(module, attribute):
    return pickle.GLOBAL + f"{module}\n{attribute}\n".encode()


def text(value):
    return pickle.BINUNICODE + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    return pickle.LONG1 + b"\x09" + value.to_bytes(9, "little", signed=True)


def numbers(values):
    return pickle.MARK + b"".join(map(number, values)) + pickle.TUPLE


ORDERED_DICT = name("collections", "OrderedDict") + pickle.EMPTY_TUPLE + pickle.REDUCE


def tensor(key, kind, shape, strides=None, offset=0, count=None):
    """The call that makes a tensor of the numbers in ``data/<key>``."""
    if strides is None:
        strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
    count = math.prod(shape) if count is None else count
    storage = pickle.MARK + text("storage") + name("torch", kind) + text(key) + text("cpu")
    storage += number(count) + pickle.TUPLE + pickle.BINPERSID
    arguments = storage + number(offset) + numbers(shape) + numbers(strides) + pickle.NEWFALSE
    return (name("torch._utils", "_rebuild_tensor_v2") + pickle.MARK + arguments + ORDERED_DICT
            + pickle.TUPLE + pickle.REDUCE)


def state(items, end=pickle.STOP):
    """The pickle of a dict of names and values, each the instructions that make it."""
    pairs = [text(k) + v for k, v in (items.items() if isinstance(items, dict) else items)]
    return (pickle.PROTO + b"\2" + ORDERED_DICT + pickle.MARK + b"".join(pairs) + pickle.SETITEMS
            + end)


def archive(data, storages=(), byteorder=b"little", packing=zipfile.ZIP_STORED, more=()):
    """The zip archive around a pickle."""
    file = io.BytesIO()
    entries = {"data.pkl": data, "byteorder": byteorder, "version": b"3\n"}
    entries |= {f"data/{k}": v for k, v in dict(storages).items()} | dict(more)
    with zipfile.ZipFile(file, "w", packing) as made:
        for key, content in entries.items():
            if content is not None:
                made.writestr(f"some name/{key}", content)
    return file.getvalue()

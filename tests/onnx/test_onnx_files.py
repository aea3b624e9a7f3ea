"""ONNX files that are damaged, hostile or beyond Etude: one error each, which names the file and
what is wrong, before anything is computed or taken into memory.
"""

import tracemalloc

import numpy as np
import pytest

from etude.core.errors import FileError

onnx = pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

import etude  # noqa: E402
from etude.onnx.table import NEWEST, Refused  # noqa: E402

node = helper.make_node


def value(name, *shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def weights(name, *shape):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def a_model(nodes=(), *, inputs=None, outputs=None, initialisers=(), opset=17, ir=9, functions=(),
            domains=()):
    graph = helper.make_graph(
        list(nodes) or [node("Relu", ["x"], ["y"])], "g",
        inputs if inputs is not None else [value("x", 2, 2)],
        outputs if outputs is not None else [value("y", 2, 2)], list(initialisers))
    opsets = [helper.make_opsetid("", opset), *[helper.make_opsetid(d, 1) for d in domains]]
    return helper.make_model(graph, ir_version=ir, opset_imports=opsets,
                             functions=list(functions))


@pytest.fixture
def refuses(tmp_path):
    """refuses(model or bytes, *words): loading ends in one error with the file and these words."""
    def check(model, *words, error=FileError):
        path = tmp_path / "model.onnx"
        path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
        with pytest.raises(error) as caught:
            etude.onnx.load(path)
        assert type(caught.value) is error
        for word in ("model.onnx: ", *words):
            assert word in str(caught.value)
        assert len(str(caught.value)) < 1000

    return check


def test_what_is_no_onnx_file_is_said_to_be_none(refuses, tmp_path):
    refuses(b"", "it holds no graph")
    refuses(b"PK\3\4 hello", "no ONNX file")
    refuses(a_model().SerializeToString()[:-7], "damaged or cut short")
    refuses(np.random.default_rng(0).bytes(4000), "no ONNX file")
    with pytest.raises(FileNotFoundError, match=r"none\.onnx"):
        etude.onnx.load(tmp_path / "none.onnx")
    with pytest.raises(IsADirectoryError):
        etude.onnx.load(tmp_path)


def test_a_version_that_nobody_knows_is_refused(refuses):
    refuses(a_model(ir=99), "version 99", "a newer onnx")
    refuses(a_model(opset=NEWEST + 1), f"opset {NEWEST + 1}", "version_converter", error=Refused)
    refuses(a_model(opset=6), "opset 6", error=Refused)
    refuses(a_model(opset=-1), "opset -1", error=Refused)
    twice = a_model()
    twice.opset_import.append(helper.make_opsetid("ai.onnx", 13))
    refuses(twice, "'ai.onnx' has two opsets")
    none = a_model()
    del none.opset_import[:]
    refuses(none, "states no opset")


def test_an_op_or_a_domain_that_nobody_knows_is_refused_with_its_node(refuses):
    refuses(a_model([node("Rellu", ["x"], ["y"], name="first")]),
            "node 'first' (Rellu)", "no reader for the op 'Rellu'", "Did you mean 'Relu'",
            error=Refused)
    refuses(a_model([node("Fast", ["x"], ["y"], domain="com.acme")], domains=["com.acme"]),
            "(com.acme.Fast)", "the domain 'com.acme'", error=Refused)
    refuses(a_model([node("Fast", ["x"], ["y"], domain="com.acme")]),
            "no opset of the domain 'com.acme'")
    refuses(a_model([node("Det", ["x"], ["a"]), node("STFT", ["a", "a"], ["y"])]), "'Det'",
            "Nor are these read: 'STFT'", error=Refused)


def test_names_that_lead_nowhere_are_found(refuses):
    refuses(a_model([node("Relu", ["z"], ["y"])]), "'z', which is no input")
    refuses(a_model([node("Add", ["x", "b"], ["a"]), node("Relu", ["a"], ["b"])],
                    outputs=[value("b", 2, 2)]), "'b'", "run in a cycle")
    refuses(a_model([node("Add", ["x", "y"], ["y"])]), "'y'", "run in a cycle")
    refuses(a_model(outputs=[value("z", 2)]), "the output 'z' is computed by no node")
    refuses(a_model(outputs=[]), "no outputs")
    refuses(a_model([node("Add", ["x"], ["y"])]), "Add of opset 17 has 2 to 2 inputs")
    refuses(a_model([node("Add", ["x", ""], ["y"])]), "input 'B' is missing")
    refuses(a_model([node("Relu", ["x"], [""])]), "it has no results")


def test_a_name_given_twice_is_found(refuses):
    refuses(a_model([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])]), "'y'", "two values")
    refuses(a_model([node("Relu", ["x"], ["x"])]), "'x' is given to two values")
    refuses(a_model(inputs=[value("x", 2), value("x", 2)]), "'x' is given to two inputs")
    refuses(a_model(initialisers=[weights("w", 1), weights("w", 1)]), "two initialisers", "'w'")
    refuses(a_model([node("TopK", ["x", "k"], ["y", "y"])],
                    inputs=[value("x", 2, 2), value("k", 1, kind=TensorProto.INT64)]),
            "'y' is given to two results")
    function = helper.make_function("own", "F", ["a"], ["b"], [node("Relu", ["a"], ["b"])],
                                    [helper.make_opsetid("", 17)])
    refuses(a_model(functions=[function, function], domains=["own"]), "two functions", "'F'")


def test_names_of_any_length_and_kind_make_one_short_line(refuses):
    refuses(a_model([node("Relu\n\x1b[31m" + "u" * 5000, ["x"], ["y"])]), "...", error=Refused)
    refuses(a_model([node("Relu", ["\u202e" * 3000], ["y"])]), "\\u202e")


def test_attributes_are_held_against_the_op(refuses):
    refuses(a_model([node("Relu", ["x"], ["y"], alpha=1.0)]), "no attribute 'alpha'")
    refuses(a_model([node("LeakyRelu", ["x"], ["y"], alpha=1)]), "'alpha'", "must be of kind")
    refuses(a_model([node("Concat", ["x", "x"], ["y"])]), "attribute 'axis' is missing")
    twice = node("LeakyRelu", ["x"], ["y"], alpha=1.0)
    twice.attribute.add().CopyFrom(twice.attribute[0])
    refuses(a_model([twice]), "'alpha' is given twice")


def test_a_text_that_is_no_utf8_is_damage(refuses):
    data = a_model([node("Relu", ["x"], ["quite_a_name"])],
                   outputs=[value("quite_a_name", 2, 2)]).SerializeToString()
    refuses(data.replace(b"quite_a_name", b"quite_\xff\xfename"), "no UTF-8")


# ------------------------------------------------------------------ sizes


def lying(kind=TensorProto.FLOAT, **fields):
    tensor = TensorProto(name="w", data_type=kind)
    for name, given in fields.items():
        if isinstance(given, bytes):
            setattr(tensor, name, given)
        else:
            getattr(tensor, name).extend(given)
    return tensor


def test_a_dimension_of_4_gb_takes_no_memory(refuses):
    tracemalloc.start()
    for dims in ([2**32], [2**31, 2**31], [2**62, 2, 2], [2**63 - 1] * 8):
        refuses(a_model(initialisers=[lying(dims=dims)]), "'w' of shape", "the file is damaged")
        refuses(a_model(initialisers=[lying(dims=dims, raw_data=b"1234")]), "has 4 bytes")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@pytest.mark.parametrize(("op", "numbers"), [
    ("Tile", [2**40, 2**40]), ("Expand", [2**62, 2**62, 2, 2]), ("Pad", [2**60] * 4)])
def test_a_size_beyond_all_memory_is_an_error_at_once_that_names_the_node(op, numbers, tmp_path):
    sizes = numpy_helper.from_array(np.array(numbers), "n")
    path = tmp_path / "model.onnx"
    onnx.save(a_model([node(op, ["x", "n"], ["y"], name="large")], initialisers=[sizes],
                      outputs=[helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]), path)
    model = etude.onnx.load(path)
    tracemalloc.start()
    with pytest.raises((ValueError, MemoryError)) as caught:
        model(np.ones((2, 2), np.float32)).numpy()
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert caught.value.__notes__ == [f"in node 'large' ({op}) of model.onnx"]


def test_a_range_without_a_step_is_refused(tmp_path):
    ends = [numpy_helper.from_array(np.array(n, np.float32), str(n)) for n in (1, 5, 0)]
    path = tmp_path / "model.onnx"
    onnx.save(a_model([node("Range", ["1", "5", "0"], ["r"]), node("Add", ["x", "r"], ["y"])],
                      initialisers=ends), path)
    with pytest.raises(Refused, match=r"model.onnx: .*Range.*a step of 0"):
        etude.onnx.load(path)(np.ones((2, 2), np.float32))


def test_a_tensor_has_as_many_numbers_as_its_shape_says(refuses):
    refuses(a_model(initialisers=[lying(dims=[-1])]), "negative size")
    refuses(a_model(initialisers=[lying(dims=[3], float_data=[1.0])]), "1 numbers where 3")
    refuses(a_model(initialisers=[lying(dims=[], raw_data=b"12345678")]), "8 bytes where 4")
    refuses(a_model(inputs=[value("x", -5)]), "negative size -5")


@pytest.mark.parametrize("kind", ["STRING", "COMPLEX64", "FLOAT8E4M3FN", "UINT64", "INT4"])
def test_a_dtype_that_etude_does_not_have_is_refused_by_name(kind, refuses):
    number = TensorProto.DataType.Value(kind)
    refuses(a_model(initialisers=[lying(number, dims=[0])]), "'w'", kind.lower(), error=Refused)
    refuses(a_model(inputs=[value("x", 2, kind=number)]), "'x'", kind.lower(), error=Refused)


def test_float16_may_be_stored_and_is_not_computed_in(refuses, tmp_path):
    half = numpy_helper.from_array(np.array([1.5, -2.0], np.float16), "w")
    cast = [node("Cast", ["w"], ["v"], to=TensorProto.FLOAT), node("Add", ["x", "v"], ["y"])]
    path = tmp_path / "half.onnx"
    path.write_bytes(a_model(cast, initialisers=[half]).SerializeToString())
    y = etude.onnx.load(path)(np.zeros((2, 2), np.float32))
    assert y.tolist() == [[1.5, -2.0]] * 2
    refuses(a_model([node("Add", ["x", "w"], ["y"])], initialisers=[half]), "'w' is float16",
            error=Refused)
    refuses(a_model([node("Cast", ["x"], ["y"], to=TensorProto.FLOAT16)]), "'y' is float16",
            error=Refused)


def test_dtypes_of_one_name_must_agree(refuses):
    whole = numpy_helper.from_array(np.ones(2, np.int64), "w")
    refuses(a_model([node("Add", ["x", "w"], ["y"])], initialisers=[whole]),
            "'x' is float and 'w' is int64, and must be the same")


# ------------------------------------------------------------------ external data


def kept_outside(location, **more):
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2],
                         data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=text)
    return a_model([node("Add", ["x", "w"], ["y"])], initialisers=[tensor])


def test_external_data_is_read_beside_the_model(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "w.bin").write_bytes(b"1234" + np.array([3, 4], "<f4").tobytes())
    path = tmp_path / "model.onnx"
    path.write_bytes(kept_outside("deep/w.bin", offset="4", length="8").SerializeToString())
    assert etude.onnx.load(path).state_dict()["w"].tolist() == [3.0, 4.0]


@pytest.mark.parametrize("location", ["/etc/hostname", "../secret", "a/../../secret", "..\\secret",
                                      "C:\\secret", "", "link", "way/secret", "folder"])
def test_external_data_outside_the_folder_is_not_opened(location, refuses, tmp_path):
    home = tmp_path.parent / f"{tmp_path.name}-outside"
    home.mkdir()
    (home / "secret").write_bytes(b"12345678")
    (tmp_path / "link").symlink_to(home / "secret")
    (tmp_path / "way").symlink_to(home)
    (tmp_path / "folder").mkdir()
    refuses(kept_outside(location), "the initialiser 'w'", "it was not opened")


def test_external_data_that_is_short_or_missing_is_said_to_be(refuses, tmp_path):
    refuses(kept_outside("w.bin"), "cannot be read", "Move both files together")
    (tmp_path / "w.bin").write_bytes(b"1234")
    refuses(kept_outside("w.bin"), "shorter")
    refuses(kept_outside("w.bin", length="4"), "4 bytes", "8 are needed")
    refuses(kept_outside("w.bin", offset="-4"), "the offset", "no number")
    refuses(kept_outside("w.bin", offset="9" * 19), "shorter")


def test_only_initialisers_may_lie_outside(refuses):
    tensor = kept_outside("w.bin").graph.initializer[0]
    refuses(a_model([node("Constant", [], ["y"], value=tensor)]), "only an initialiser")


# ------------------------------------------------------------------ functions and graphs in graphs


def functions(calls, depth):
    """F0 calls F1 ``calls`` times, which calls F2, and so on: calls^depth nodes."""
    found = []
    for i in range(depth):
        names = ["a", *[f"v{j}" for j in range(calls - 1)], "b"]
        op, domain = (f"F{i + 1}", "own") if i + 1 < depth else ("Relu", "")
        found.append(helper.make_function(
            "own", f"F{i}", ["a"], ["b"],
            [node(op, [names[j]], [names[j + 1]], domain=domain) for j in range(calls)],
            [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]))
    return found


def test_functions_that_never_end_are_stopped(refuses):
    own = helper.make_function("own", "F", ["a"], ["b"], [node("F", ["a"], ["b"], domain="own")],
                               [helper.make_opsetid("own", 1)])
    call = [node("F", ["x"], ["y"], domain="own")]
    refuses(a_model(call, functions=[own], domains=["own"]), "does 'F' call itself?")
    call = [node("F0", ["x"], ["y"], domain="own")]
    refuses(a_model(call, functions=functions(10, 12), domains=["own"]), "more than 50,000 nodes")


def test_what_is_no_tensor_is_refused(refuses):
    many = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, None)
    refuses(a_model(inputs=[many]), "'x' is a sequence", error=Refused)
    sparse = a_model()
    sparse.graph.sparse_initializer.add()
    refuses(sparse, "sparse initialisers", error=Refused)


def test_without_the_package_it_says_what_to_install(monkeypatch, tmp_path):
    import sys

    for name in [n for n in sys.modules if n.startswith(("etude.onnx.read", "etude.onnx.tensors",
                                                         "etude.onnx.types"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'etude\[onnx\]'"):
        etude.onnx.load(tmp_path / "model.onnx")

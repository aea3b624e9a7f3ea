"""The tables of ONNX: what they claim to read is held against onnx's own signatures."""

import inspect

import pytest

from etude.onnx import table
from etude.onnx.table import DIFFERENCES, NEWEST, OLDEST, READERS, Refused, reader, reads

onnx = pytest.importorskip("onnx", reason="NOT RUN: needs the package onnx")

from onnx import defs  # noqa: E402

table.fill()
ENTRIES = [entry for entries in READERS.values() for entry in entries]

#: Attributes of Constant that are refused: there is no text and nothing sparse.
VOID = {"sparse_value", "value_string", "value_strings"}


def schemas(entry):
    """onnx's signature of the op at each opset of an entry at which it changed."""
    found = {}
    for opset in range(max(entry.since, OLDEST), (entry.to or NEWEST) + 1):
        schema = defs.get_schema(entry.op, opset, entry.domain)
        found[schema.since_version] = schema
    return found.values()


def test_the_newest_opset_is_onnxs_own():
    """A newer onnx has newer ops: they are compared with the tables before NEWEST is raised."""
    if defs.onnx_opset_version() != NEWEST:
        pytest.skip(f"NOT RUN: needs onnx of opset {NEWEST}")
    assert len(ENTRIES) > 150


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.op}-{e.since}")
def test_a_reader_takes_the_inputs_and_knows_the_attributes_of_its_op(entry):
    parameters = list(inspect.signature(entry.rule).parameters.values())[1:]
    free = [p for p in parameters if p.kind is p.VAR_POSITIONAL]
    placed = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD
              and not p.name.startswith("_")]  # such as _fn=_fn of a loop
    needed = [p for p in placed if p.default is p.empty]
    text = inspect.getsource(inspect.getmodule(entry.rule))
    if entry.family in ("pool", "conv"):  # they share the attributes of a window
        from etude.onnx.families import conv
        text += inspect.getsource(conv)
    for schema in schemas(entry):
        if not free:
            assert schema.max_input <= len(placed), f"opset {schema.since_version}"
        assert schema.min_input >= len(needed), f"opset {schema.since_version}"
        unknown = [a for a in schema.attributes if f'"{a}"' not in text and a not in VOID]
        assert unknown == [], f"opset {schema.since_version}"


def test_no_two_rules_hold_at_one_opset():
    with pytest.raises(ValueError, match=r"two rules for 'Softmax' hold at opset 13"):
        reads("Softmax", since=13)(lambda node, x: x)
    with pytest.raises(ValueError, match="'handled: ' or 'refused: '"):
        table.differs("Softmax", "so", "otherwise", "somehow")


def test_what_is_missing_is_said_with_what_is_there():
    with pytest.raises(Refused, match=r"no reader for the op 'Softmaxx'.*Did you mean 'Softmax'"):
        reader("", "Softmaxx", 13)
    with pytest.raises(Refused, match=r"read the op 'Scatter' of opset 9 to 10, .* opset 17"):
        reader("", "Scatter", 17)


def test_every_difference_says_both_sides_and_the_answer():
    assert len(DIFFERENCES) > 25
    for d in DIFFERENCES:
        assert d.op
        assert d.onnx
        assert d.etude
        assert d.answer.startswith(("handled: ", "refused: "))
    told = " ".join(f"{d.op} {d.onnx}" for d in DIFFERENCES)
    for word in ("Softmax", "NaN", "empty axis", "halves", "ceil_mode", "running variance",
                 "count_include_pad", "negative"):
        assert word in told + " ".join(d.answer for d in DIFFERENCES)

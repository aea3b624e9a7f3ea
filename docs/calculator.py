"""Writes the calculator of an op page: fields for shapes and attributes, filled with a usual call.

``static/calculator.js`` reads the fields and works out shapes and cost while somebody types. What
it knows of an op is made here from the op's row: its layout, its cost, its attributes.
"""

import json
from html import escape
from inspect import Parameter

from etude.commands import facts
from etude.core.columns import VIEW
from etude.core.layout import Layout

#: Attributes without a default, as a usual call has them.
USUAL = {"shape": "(64, 32)", "dims": "(1, 0)", "dim": "0", "padding": "(1, 1)",
         "dtype": "float64", "num_classes": "10", "kernel_size": "2", "output_size": "1",
         "normalized_shape": "(64,)"}
#: Of images: one number stands for both axes.
PAIRS = ("kernel_size", "stride", "padding", "dilation", "output_size")
#: Arrays of views, which have no usual call.
SHAPES = {"reshape": "32, 64", "permute": "32, 64", "expand": "64, 1", "flip": "32, 64"}


def known(op):
    """What the script is told of an op, as JSON; None where a call cannot be put into a few fields.
    """
    layout = op.shape if isinstance(op.shape, Layout) else None
    sizes = layout.sizes if layout else op.shape
    if callable(op.cost) or op.cls == "create" or op.name in ("slice", "split"):
        return None
    attrs = {k: None if v is Parameter.empty else v for k, v in op.attrs.items()}
    return {"arrays": list(op.arrays), "optional": sorted(op.optional), "variadic": op.variadic,
            "layout": layout.text if layout else "", "attrs": attrs, "cost": op.cost,
            "sizes": f"{op.family}.{sizes.__name__}" if sizes else "",
            "pairs": [n for n in attrs if n in PAIRS and op.family in ("conv2d", "pool2d")],
            "shown": op.shown, "view": op.cls == VIEW}


def box(op):
    """The calculator as HTML, hidden where no script runs; "" where there is none."""
    told = known(op)
    if told is None:
        return ""
    example = facts.example(op)
    fields = [_field(name, "shape", _shape(op, example, name), "shape") for name in op.arrays]
    fixed = op.shape.fixed if isinstance(op.shape, Layout) else {}
    if any(name not in fixed for name in op.arrays):
        fields.append('<label>dtype <select data-kind="dtype" name="dtype">'
                      "<option>float32<option>float64</select></label>")
    for name, value in op.attrs.items():
        if value is Parameter.empty:
            given = example.attrs.get(name) if example else None
            value = USUAL[name] if given is None else given
        fields.append(_field(name, "attr", str(value)))
    data = escape(json.dumps(told))
    return (f'<form class="calculator" hidden data-op="{data}" onsubmit="return false">'
            f"{''.join(fields)}<output></output></form>")


def _field(name, kind, value, hint=""):
    return (f'<label>{name} <input name="{name}" data-kind="{kind}" value="{escape(value)}" '
            f'placeholder="{hint}" autocomplete="off" spellcheck="false"></label>')


def _shape(op, example, name):
    """Sizes with commas; of an op of any number of arrays a semicolon between the shapes."""
    if op.variadic:
        return "; ".join(", ".join(map(str, s.shape)) for s in example.arrays.values())
    if example is None:
        return SHAPES[op.name]
    spec = example.arrays.get(name)
    return "" if spec is None else ", ".join(map(str, spec.shape))

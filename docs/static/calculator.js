// The calculator on the op pages: shapes and cost of a call, worked out while you type.
//
// Each op hands over its layout, "x: N C H W, weight: O C/groups KH KW, bias: O -> N O OH OW", its
// cost, "2 N O OH OW C/groups KH KW", and the name of what the layout cannot say (SIZES below).
// What a layout may say stands in core/layout.py; docs/calculator.py writes the pages' part, and
// tests/docs/test_calculator.py holds every answer of this file against Python's.
"use strict";

const product = (sizes) => sizes.reduce((a, n) => a * n, 1);
const text = (shape) => `[${shape.join(", ")}]`;

// ------------------------------------------------------------------ layouts

/** ["N", "*rest"] and "int64" of "N ... int64". */
function readDims(words) {
  const dims = words.trim().split(/\s+/).filter(Boolean).map((w) => (w === "..." ? "*rest" : w));
  const last = dims[dims.length - 1];
  const named = ["float32", "float64", "int64", "int8", "bool", "any", "dtype"].includes(last);
  return { dims: named ? dims.slice(0, -1) : dims, dtype: named ? last : "" };
}

function readLayout(line, order) {
  const [taken, given] = line.split("->");
  const layout = { arrays: {}, attrs: {}, fixed: {}, results: given.split(",").map(readDims) };
  for (const part of taken.split(",")) {
    const [names, rest] = part.includes(":") ? part.split(":") : ["", part];
    if (rest.includes("=")) {
      const [attr, sizes] = rest.split("=");
      layout.attrs[attr.trim()] = readDims(sizes).dims;
      continue;
    }
    const { dims, dtype } = readDims(rest);
    for (const name of names.trim() ? names.trim().split(/\s+/) : order) {
      layout.arrays[name] = dims;
      if (dtype) layout.fixed[name] = dtype;
    }
  }
  return layout;
}

/** The sizes that one dim stands for; null where any number of them may stand, [null] for one. */
function part(dim, sizes, attrs) {
  if (dim[0] === "*") return sizes[dim.slice(1)] ?? null;
  if (dim[0] === "~") return null;
  const [name, divisor] = dim.split("/");
  if (divisor && name in sizes) {
    if (sizes[name] % attrs[divisor]) {
      throw new Error(`${divisor} = ${attrs[divisor]} does not divide ${name} = ${sizes[name]}`);
    }
    return [sizes[name] / attrs[divisor]];
  }
  if (dim in attrs) return [attrs[dim]];
  if (/^\d+$/.test(dim)) return [Number(dim)];
  if (dim.includes("+")) return [dim.split("+").length];
  return [sizes[dim] ?? null];
}

/** Settle by a shape what is open in the dims of the array or attribute called ``what``. */
function take(what, dims, shape, sizes, attrs) {
  const parts = dims.map((dim) => part(dim, sizes, attrs));
  const rest = shape.length - parts.reduce((n, p) => n + (p === null ? 0 : p.length), 0);
  const misfit = new Error(`${what} is ${text(shape)}, and must be ` +
    `(${dims.map((d) => (d === "*rest" || d[0] === "~" ? "..." : d)).join(", ")})` +
    Object.entries(sizes).filter(([n]) => dims.some((d) => d.replace("*", "").split("/")[0] === n))
      .map(([n, v]) => `, ${n === "rest" ? "..." : n} = ${Array.isArray(v) ? text(v) : v}`).join(""));
  if (rest < 0 || (rest > 0 && !parts.includes(null))) throw misfit;
  let at = 0;
  dims.forEach((dim, i) => {
    const length = parts[i] === null ? rest : parts[i].length;
    const piece = shape.slice(at, at + length);
    at += length;
    const [name, divisor] = dim.replace("*", "").split("/");
    if (dim[0] === "~") (sizes[dim] ??= []).push(piece);
    else if (parts[i] === null) sizes[name] = piece;
    else if (parts[i][0] === null) sizes[name] = piece[0] * (divisor ? attrs[divisor] : 1);
    else if (parts[i].some((n, k) => n !== piece[k])) throw misfit;
  });
}

function broadcast(shapes) {
  const length = Math.max(0, ...shapes.map((s) => s.length));
  return Array.from({ length }, (_, i) => {
    const here = shapes.map((s) => s[s.length - length + i] ?? 1);
    const n = here.find((m) => m !== 1) ?? 1;
    if (here.some((m) => m !== 1 && m !== n)) {
      throw new Error(`${shapes.map(text).join(" and ")} do not broadcast`);
    }
    return n;
  });
}

/** The sizes that ``dims`` stand for, all of them settled. */
const settled = (dims, sizes, attrs) => dims.flatMap((dim) => part(dim, sizes, attrs));

function bind(op, layout, shapes, attrs) {
  const sizes = {};
  for (const [attr, dims] of Object.entries(layout.attrs)) take(attr, dims, [attrs[attr]].flat(), sizes, attrs);
  const arrays = Object.entries(layout.arrays).filter(([name]) => shapes[name]);
  const all = () => arrays.forEach(([name, dims]) => take(name, dims, shapes[name], sizes, attrs));
  all();
  if (op.sizes) {
    if (!(op.sizes in SIZES)) throw new Error(`there is no formula ${op.sizes}`);
    Object.assign(sizes, SIZES[op.sizes]({ ...attrs, ...shapes, ...sizes }));
  }
  for (const name of Object.keys(sizes).filter((n) => n[0] === "~")) {
    sizes[name.slice(1)] = broadcast(sizes[name]);
  }
  return sizes;
}

// ------------------------------------------------------------------ what a layout cannot say

function axis(dim, ndim) {
  if (!Number.isInteger(dim) || dim < -ndim || dim >= Math.max(ndim, 0)) {
    throw new Error(`dim = ${dim} is outside an array of ${ndim} dimensions`);
  }
  return dim < 0 ? dim + ndim : dim;
}

function axes(dim, ndim) {
  if (dim === null) return [...Array(ndim).keys()];
  return [dim].flat().map((d) => axis(d, ndim));
}

function along(shape, dim, n) {
  return shape.map((m, i) => (i === dim ? n : m));
}

function reduced({ rest, dim, keepdim }) {
  const gone = axes(dim, rest.length);
  return { R: keepdim ? rest.map((n, i) => (gone.includes(i) ? 1 : n)) : rest.filter((_, i) => !gone.includes(i)) };
}

function notEmpty(named) {
  if (axes(named.dim, named.rest.length).some((d) => named.rest[d] === 0)) {
    throw new Error("there is no value over an empty axis");
  }
  return reduced(named);
}

function windows({ H, W, KH, KW, stride, padding, dilation = [1, 1], ceil_mode = false }) {
  const [OH, OW] = [[H, KH], [W, KW]].map(([n, k], i) => {
    const room = n + 2 * padding[i] - dilation[i] * (k - 1) - 1;
    if (room < 0) throw new Error(`the kernel ${text([KH, KW])} does not fit into the image ${text([H, W])}`);
    if (!ceil_mode) return Math.floor(room / stride[i]) + 1;
    const count = Math.ceil(room / stride[i]) + 1; // the last may stick out behind the padding,
    return (count - 1) * stride[i] < n + padding[i] ? count : count - 1; // if it begins inside
  });
  return { OH, OW };
}

function joined({ xs, dim }) {
  const d = axis(dim, xs[0].length);
  if (xs.some((x) => text(along(x, d, 0)) !== text(along(xs[0], d, 0)))) {
    throw new Error(`shapes must agree except in dimension ${dim}`);
  }
  return { Y: along(xs[0], d, xs.reduce((n, x) => n + x[d], 0)) };
}

function stacked({ xs, dim }) {
  if (xs.some((x) => text(x) !== text(xs[0]))) throw new Error("all arrays must have one shape");
  return { Y: xs[0].toSpliced(axis(dim, xs[0].length + 1), 0, xs.length) };
}

function reshaped({ rest, shape }) {
  const known = product(shape.filter((n) => n !== -1));
  const sizes = shape.map((n) => (n === -1 ? product(rest) / known : n));
  if (shape.filter((n) => n === -1).length > 1 || product(sizes) !== product(rest) || sizes.some((n) => !Number.isInteger(n))) {
    throw new Error(`${product(rest)} elements do not make ${text(shape)}`);
  }
  return { Y: sizes };
}

function permuted({ rest, dims }) {
  const order = dims.map((d) => axis(d, rest.length));
  if (new Set(order).size !== rest.length || order.length !== rest.length) {
    throw new Error(`dims must name each of the ${rest.length} dimensions once`);
  }
  return { Y: order.map((d) => rest[d]) };
}

function expanded({ rest, S }) {
  if (text(broadcast([rest, S])) !== text(S)) throw new Error(`${text(rest)} does not stretch to ${text(S)}`);
  return {};
}

function padded({ rest, padding }) {
  const flat = padding.flat();
  const pairs = rest.map((n, i) => n + (flat[2 * (rest.length - 1 - i)] ?? 0) + (flat[2 * (rest.length - 1 - i) + 1] ?? 0));
  return { Y: pairs };
}

function selected({ rest, count, dim }) {
  return { Y: along(rest, axis(dim, rest.length), count) };
}

function largest({ rest, k, dim }) {
  const d = axis(dim, rest.length);
  if (!(k >= 0 && k <= rest[d])) throw new Error(`k must be 0 to ${rest[d]}, the size of dimension ${dim}`);
  return { Y: along(rest, d, k) };
}

function within({ rest, I, S, dim }) {
  axis(dim, rest.length);
  if (I.length !== rest.length || I.some((n, i) => n > rest[i] && i !== axis(dim, rest.length))) {
    throw new Error(`index ${text(I)} must have the dimensions of x ${text(rest)} and be no larger along any but dim`);
  }
  if (S && I.some((n, i) => n > S[i])) throw new Error("index must be no larger than src along any dimension");
  return {};
}

function oneLoss({ rest, N, reduction }) {
  return { L: reduction === "none" ? rest ?? [N] : [] };
}

function oneAxis({ rest, dim }) {
  axes(dim, rest.length);
  return {};
}

const nothing = () => ({});

/** By the op's family and the name of the Python function that says it there. */
const SIZES = {
  "reduce.reduction": reduced, "logical.reduction": reduced, "reduce._not_empty": notEmpty,
  "reduce._more_than": notEmpty, "reduce._one_axis": notEmpty, "activation._bounds": nothing,
  "attention._check_mask": nothing, "batch_norm._more_than_one": nothing, "conv2d._grouped": windows,
  "pool2d._pooled": windows, "pool2d._averaged": windows, "pool2d._has_pixels": nothing,
  "copy._cat_shape": joined, "copy._stack_shape": stacked, "copy._padded": padded,
  "cross_entropy._losses": oneLoss, "loss._losses": oneLoss, "index._selected": selected,
  "index._row_number": nothing, "index._classes": nothing, "index._largest": largest,
  "gather._fits": within, "layer_norm.not_empty": nothing, "rms_norm.not_empty": nothing,
  "scan._along": oneAxis, "softmax._row": oneAxis, "view._reshaped": reshaped,
  "view._permuted": permuted, "view._expanded": expanded, "view._flipped": ({ rest, dims }) => oneAxis({ rest, dim: dims }),
};

// ------------------------------------------------------------------ the answer

const BYTES = { float32: 4, float64: 8, int64: 8, int8: 1, bool: 1 };
const bytesOf = (specs) => specs.reduce((n, s) => n + product(s.shape) * BYTES[s.dtype], 0);

/** Numbers alone where the op wants a pair; and a stride that is not said is the window's. */
function prepared(op, attrs) {
  const found = { ...attrs };
  for (const name of op.pairs) if (typeof found[name] === "number") found[name] = [found[name], found[name]];
  if ("kernel_size" in found && found.stride === null) found.stride = found.kernel_size;
  return found;
}

/**
 * What comes out of a call, and what it costs. ``shapes``: name -> sizes (null: left out; for an op
 * of any number of arrays a list of shapes under its one name).
 */
function answer(op, shapes, dtype, given) {
  const attrs = prepared(op, { ...op.attrs, ...given });
  let results, inputs, sizes;
  if (op.variadic) {
    sizes = SIZES[op.sizes]({ ...attrs, ...shapes });
    results = [{ shape: sizes.Y, dtype }];
    inputs = shapes[op.arrays[0]].map((shape) => ({ shape, dtype }));
  } else {
    const layout = readLayout(op.layout, op.arrays);
    const of = (word) => (!word || word === "any" ? dtype : word === "dtype" ? attrs.dtype : word);
    sizes = bind(op, layout, shapes, attrs);
    results = layout.results.map((r) => ({ shape: settled(r.dims, sizes, attrs), dtype: of(r.dtype) }));
    inputs = Object.keys(layout.arrays).filter((name) => shapes[name])
      .map((name) => ({ shape: shapes[name], dtype: of(layout.fixed[name]) }));
  }
  const every = [...inputs, ...results];
  const flops = typeof op.cost === "number"
    ? op.cost * Math.max(...every.map((s) => product(s.shape)))
    : op.cost.split(" + ").reduce((n, term) => n + product(settled(readDims(term).dims, sizes, attrs)), 0);
  const view = op.view;
  return { results: results.slice(0, op.shown), flops, bytes: view ? 0 : bytesOf(every) };
}

// ------------------------------------------------------------------ on the page

/** A value as Python writes it: None, True, (1, 2), "mean" or mean. */
function readValue(words) {
  const plain = words.trim().replace(/\bNone\b/g, "null").replace(/\bTrue\b/g, "true")
    .replace(/\bFalse\b/g, "false").replace(/\(/g, "[").replace(/,?\s*\)/g, "]");
  try {
    return JSON.parse(plain);
  } catch {
    return words.trim().replace(/^['"]|['"]$/g, "");
  }
}

function readShape(words) {
  const sizes = words.replace(/[[\]()]/g, " ").split(/[\s,x]+/).filter(Boolean).map(Number);
  if (sizes.some((n) => !Number.isInteger(n) || n < 0)) throw new Error(`${words} is no shape`);
  return sizes;
}

const big = (n) => {
  for (const [unit, size] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (n >= size) return `${(n / size).toPrecision(3)} ${unit}`;
  }
  return `${n} `;
};

function show(box) {
  const op = JSON.parse(box.dataset.op);
  const fields = [...box.querySelectorAll("input, select")];
  const out = box.querySelector("output");
  const update = () => {
    const shapes = {}, attrs = {};
    let dtype = "float32";
    out.classList.remove("wrong");
    try {
      for (const { name, value, dataset } of fields) {
        if (dataset.kind === "dtype") dtype = value;
        else if (dataset.kind === "attr") attrs[name] = readValue(value);
        else if (op.variadic) shapes[name] = value.split(";").map(readShape);
        else shapes[name] = value.trim() === "" && op.optional.includes(name) ? null : readShape(value);
      }
      const found = answer(op, shapes, dtype, attrs);
      const made = found.results.map((r) => `${r.dtype}${text(r.shape)}`).join(", ");
      const cost = op.view ? "a view: nothing is computed and nothing moves"
        : `${big(found.flops)}FLOP, ${big(found.bytes)}B moved at least, ` +
          `${(found.flops / Math.max(found.bytes, 1)).toPrecision(3)} FLOP/B`;
      out.textContent = `${made}\n${cost}`;
    } catch (error) {
      out.classList.add("wrong");
      out.textContent = error.message;
    }
  };
  fields.forEach((field) => field.addEventListener("input", update));
  update();
}

if (typeof document !== "undefined") {
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".calculator").forEach((box) => {
    box.hidden = false;
    show(box);
  }));
} else {
  module.exports = { answer };
}

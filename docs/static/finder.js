// The field over the table of ops: leaves the rows whose op has the name typed, or a name with its
// letters, here or in PyTorch. Enter opens the one of just this name, else the first. What is no op,
// such as a layer made of several, the search of all pages finds.
"use strict";

/** "Conv1d" of "torch.nn.Conv1d": a name without the module that it stands in. */
const alone = (name) => name.trim().replace(/^(torch\.)?(nn\.)?(functional\.|F\.|Tensor\.)?/i, "");

/** As names are compared: nn.LayerNorm is layer_norm. */
const bare = (name) => alone(name).toLowerCase().replaceAll("_", "");

/**
 * How well an op of these names is meant by what was typed: 2 just so, 1 perhaps, 0 not. A layer's
 * name may go on behind that of its op: BatchNorm2d, CrossEntropyLoss.
 */
function meant(typed, names) {
  const letters = bare(typed);
  const found = names.map(bare);
  if (letters && found.includes(letters)) return 2;
  const perhaps = (name) => name.includes(letters) || (name.length > 3 && letters.startsWith(name));
  return found.some(perhaps) ? 1 : 0;
}

function finder(field) {
  const names = JSON.parse(field.dataset.names);
  const rows = [...document.querySelectorAll("table.op-index tbody tr")];
  const said = rows.map((row) => {
    const op = row.querySelector("a").textContent.split("(")[0];
    return [op, ...(names[op] ?? "").split(" ").filter(Boolean)];
  });
  const heads = [...document.querySelectorAll("section section")];
  const elsewhere = document.createElement("p");
  elsewhere.append("No op has this name. ", document.createElement("a"));
  field.after(elsewhere);
  const find = () => {
    const meaning = said.map((op) => meant(field.value, op));
    rows.forEach((row, i) => { row.hidden = !meaning[i]; });
    heads.forEach((head) => { head.hidden = !head.querySelector("tbody tr:not([hidden])"); });
    elsewhere.hidden = meaning.some(Boolean);
    const link = elsewhere.querySelector("a");
    link.textContent = `Search all pages for ${alone(field.value)}`;
    link.href = `search.html?q=${encodeURIComponent(alone(field.value))}`;
    return [2, 1].map((how) => rows[meaning.indexOf(how)]).find(Boolean);
  };
  find();
  field.hidden = false;
  field.addEventListener("input", find);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const row = find();
    window.location = (row ?? elsewhere).querySelector("a").href;
  });
}

if (typeof document !== "undefined") {
  document.addEventListener("DOMContentLoaded", () => {
    const field = document.querySelector(".op-finder");
    if (field) finder(field);
  });
} else {
  module.exports = { alone, meant };
}

// The field over the table of ops: leaves the rows whose op has a name with the letters typed, here
// or in PyTorch. Enter opens the first one.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const field = document.querySelector(".op-finder");
  if (!field) return;
  const names = JSON.parse(field.dataset.names);
  const rows = [...document.querySelectorAll("table.op-index tbody tr")];
  const said = rows.map((row) => {
    const op = row.querySelector("a").textContent.split("(")[0];
    return `${op} ${names[op] ?? ""}`.toLowerCase();
  });
  const heads = [...document.querySelectorAll("section section")];
  const find = () => {
    const wanted = field.value.trim().toLowerCase().replace(/^f\./, "");
    rows.forEach((row, i) => { row.hidden = !said[i].includes(wanted); });
    heads.forEach((head) => { head.hidden = !head.querySelector("tbody tr:not([hidden])"); });
  };
  field.hidden = false;
  field.addEventListener("input", find);
  field.addEventListener("keydown", (event) => {
    const first = rows.find((row) => !row.hidden);
    if (event.key === "Enter" && first) window.location = first.querySelector("a").href;
  });
});

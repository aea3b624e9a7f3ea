// The matrix: a row for each op, a column for each kind of case, a button in each cell.
{
  const columns = report.kinds.slice(0, report.columns);
  const cells = new Map(), largest = new Map(), executed = new Map();
  for (const r of records) {
    const key = `${r.op} ${r.kind}`;
    if (!cells.has(key)) cells.set(key, {});
    const cell = cells.get(key);
    cell[r.verdict] = (cell[r.verdict] || 0) + 1;
    if (r.verdict === "PASS" && r.ratio !== null) {
      largest.set(r.op, Math.max(largest.get(r.op) || 0, r.ratio));
    }
    if (!idle.has(r.verdict)) executed.set(r.op, (executed.get(r.op) || 0) + 1);
  }

  function chooser(text, wanted, label, classes) {
    const made = element("button", {type: "button", textContent: text, title: label,
                                    "aria-label": label, className: classes || ""});
    made.onclick = () => choose({...NOTHING, ...wanted}, true);
    const same = (key) => (wanted[key] || "") === chosen[key];
    listeners.push(() => made.setAttribute(
      "aria-pressed", same("family") && same("op") && same("kind")));
    return made;
  }

  function cellOf(op, kind) {
    const cell = cells.get(`${op} ${kind}`);
    if (!cell) return element("td");
    const verdict = WORST.find((v) => cell[v]);
    const all = Object.entries(cell).reduce((sum, [v, n]) => sum + (idle.has(v) ? 0 : n), 0);
    const bad = report.failed.reduce((sum, v) => sum + (cell[v] || 0), 0);
    const text = idle.has(verdict) ? (verdict === "NOT RUN" ? "/" : "-") : verdict === "PASS" ? String(cell.PASS)
      : `${LETTER[verdict] || ""}${bad || cell.WAIVED}/${all}`;
    const said = Object.entries(cell).map(([v, n]) => `${n} ${v}`).join(", ");
    return element("td", {}, chooser(text, {op, kind}, `${op}, ${kind}: ${said}`,
                                     css(verdict)));
  }

  const head = element("tr", {}, element("th", {scope: "col", textContent: "op"}));
  for (const kind of columns) {
    const short = {"duplicate-index": "dup-index"}[kind] || kind;
    head.append(element("th", {scope: "col"},
                        chooser(short, {kind}, `All cases of ${kind}`)));
  }
  head.append(element("th", {scope: "col", textContent: "cases"}),
              element("th", {scope: "col", textContent: "worst", title:
                             "largest error / bound of the cases that passed"}));

  const body = element("tbody"), absent = [];
  let last = "";
  for (const [op, family] of report.ops) {
    if (op === "-") continue;
    if (!executed.has(op)) {
      absent.push(op);
      continue;
    }
    if (family !== last) {
      const name = element("th", {scope: "rowgroup"},
                           chooser(family, {family}, `Family ${family}`));
      body.append(element("tr", {className: "family"}, name,
                          element("td", {colSpan: columns.length + 2})));
      last = family;
    }
    body.append(element("tr", {},
      element("th", {scope: "row"}, chooser(op, {op}, `All cases of ${op}`)),
      ...columns.map((kind) => cellOf(op, kind)),
      element("td", {className: "n", textContent: executed.get(op)}),
      element("td", {className: "n", textContent: ratioText(largest.get(op))})));
  }
  byId("matrix").append(element("thead", {}, head), body);
  byId("absent").textContent = absent.length
    ? `Not implemented, not checked (${absent.length}): ${absent.join(", ")}.` : "";
}

// Error over bound: a strip for each op, on one logarithmic axis with a line at 1. Cases that fall
// on the same few pixels are one dot; so thirty thousand cases are a few thousand dots.
{
  const LEAST = -4, MOST = 3; // powers of ten that are drawn; beyond, at the edge
  const ZERO = 40, STEP = 6, ROW = 19; // pixels: the column of exact zeros, a dot's place, a row
  const box = byId("plot");
  const byOp = new Map();
  for (const r of records) {
    if (r.ratio === null || r.op === "-") continue;
    if (!byOp.has(r.op)) byOp.set(r.op, []);
    byOp.get(r.op).push(r);
  }
  const exact = [], drawn = [];
  for (const [op] of report.ops) {
    const found = byOp.get(op);
    if (found) (found.every((r) => r.ratio === 0) ? exact : drawn).push(op);
  }
  byId("exact").textContent = exact.length
    ? `Without any error (${exact.length}): ${exact.join(", ")}.` : "";

  function svg(tag, fields, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(fields)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function draw() {
    const narrow = box.clientWidth < 560, label = narrow ? 124 : 230;
    const width = box.clientWidth - label - 14;
    if (width < 80) return;
    box.style.setProperty("--label", `${label}px`);
    const x = (power) => ZERO + (width - ZERO - 12) * (power - LEAST) / (MOST - LEAST);
    const line = (at, kind, height) =>
      svg("line", {x1: at, x2: at, y1: 0, y2: height, class: kind});

    const axis = svg("svg", {width, height: 26, "aria-hidden": "true"});
    for (let p = LEAST; p <= MOST; p += 1) {
      if (narrow && (p - LEAST) % 2) continue;
      const text = p === 0 ? "1" : p > 0 ? String(10 ** p) : `1e${p}`;
      axis.append(svg("text", {x: x(p), y: 17, "text-anchor": p === MOST ? "end" : "middle"},
                      text + (p === MOST ? "+" : "")));
    }
    axis.append(svg("text", {x: 2, y: 17}, "0"));
    const rows = [element("div", {className: "row axis"},
                          element("span", {textContent: "error / bound"}), axis)];
    for (const op of drawn) {
      const strip = svg("svg", {width, height: ROW, "aria-hidden": "true"});
      strip.append(svg("line", {x1: 0, x2: width, y1: ROW / 2, y2: ROW / 2, class: "base"}),
                   line(x(0), "bound", ROW));
      const places = new Map();
      let most = 0, wrong = 0;
      for (const r of byOp.get(op)) {
        const bad = failed.has(r.verdict) && r.ratio > 1;
        const power = Math.min(Math.max(Math.log10(r.ratio), LEAST), MOST);
        // What failed must not share a dot with what passed, nor cross the line by rounding.
        const at = r.ratio === 0 ? 5 : Math.round(x(power) / STEP) * STEP;
        const key = `${bad} ${bad ? Math.max(at, x(0) + 3) : Math.min(at, x(0) - 2)}`;
        places.set(key, (places.get(key) || 0) + 1);
        if (bad) wrong += 1; else most = Math.max(most, r.ratio);
      }
      for (const [key, n] of places) {
        const [bad, at] = key.split(" ");
        strip.append(svg("circle", {cx: at, cy: ROW / 2, r: Math.min(1.8 + 0.8 * Math.log2(n), 7),
                                    class: bad === "true" ? "wrong" : "dot"}));
      }
      const said = `${op}: ${many(byOp.get(op).length, "case")}, largest that passed `
        + `${ratioText(most)}${wrong ? `, ${wrong} wrong` : ""}`;
      const name = element("button", {type: "button", textContent: op, title: said,
                                      "aria-label": said});
      name.onclick = () => choose({...NOTHING, op}, true);
      rows.push(element("div", {className: "row", title: said}, name, strip));
    }
    box.replaceChildren(...rows);
  }

  if (drawn.length) {
    let width = 0;
    const fit = () => {
      if (box.clientWidth !== width) {
        width = box.clientWidth;
        draw();
      }
    };
    fit(); // now: an observer is first called with the next frame, and a page in the background has none
    new ResizeObserver(fit).observe(box);
  } else {
    box.hidden = true;
  }
}

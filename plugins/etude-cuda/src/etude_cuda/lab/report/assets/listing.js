// The source, line by line: a bar of heat, the line, what was found there, and on demand the
// counters of the line and one warp's addresses (warp.js).

// ---- counters by line; a line that belongs to several kernels is one row here
const lines = new Map();
for (const c of report.counters) {
  const key = lineId(c.file, c.line);
  if (!lines.has(key)) lines.set(key, []);
  lines.get(key).push(c);
}

const sum = (list, name) => list.reduce((total, c) => total + c[name], 0);

// Each kind of heat: what a number says, from 0 to 1 how hot it is, and how it is written.
const HEATS = {
  sectors: {
    title: "Sectors", steps: ["ideal", "2 times", "4 times", "8 times", "16 times and more"],
    says: "32-byte sectors that a warp's request to global memory touches, over what its bytes "
      + "would need side by side. A card moves whole sectors.",
    value(list) {
      const requests = sum(list, "requests"), ideal = sum(list, "ideal");
      if (!requests || !ideal) return null;
      const ratio = sum(list, "sectors") / ideal;
      return {hot: Math.log2(Math.max(ratio, 1)) / 4, text: round(sum(list, "sectors") / requests)};
    }},
  conflicts: {
    title: "Bank conflicts", steps: ["none", "2-way", "4-way", "8-way", "16-way and more"],
    says: "Passes beyond the first that a request to shared memory takes, on average: its lanes "
      + "want different words of one bank.",
    value(list) {
      const requests = sum(list, "shared_requests");
      if (!requests) return null;
      const extra = sum(list, "conflicts") / requests;
      return {hot: Math.log2(1 + extra) / 4, text: round(extra)};
    }},
  divergence: {
    title: "Divergence", steps: ["whole warps", "3/4", "half", "1/4", "few lanes"],
    says: "Lanes of 32 that take part when a warp runs the line, on average. A bar stands where "
      + "warps came in parts.",
    value(list) {
      const warps = sum(list, "warps");
      if (!warps) return null;
      const lanes = sum(list, "lanes") / warps;
      return {hot: sum(list, "split") ? Math.min(1, 1.05 - lanes / 32) : 0, text: round(lanes)};
    }},
  flops: {
    title: "FLOPs", steps: ["few", "", "", "", "most"],
    says: "Floating-point operations of all threads at the line, over those of the busiest line. "
      + "Calls of maths functions are counted apart.",
    value(list) {
      const flops = sum(list, "flops");
      return flops ? {hot: flops / mostFlops, text: short(flops)} : null;
    }},
};
const mostFlops = Math.max(1, ...[...lines.values()].map((list) => sum(list, "flops")));

function short(n) {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (n >= size) return `${round(n / size)} ${unit}`;
  }
  return String(n);
}

// ---- findings at their lines
function findingBox(f, i) {
  const box = element("details", {id: `finding-${i}`, className: `finding ${f.severity}`, open: true},
    element("summary", {}, element("span", {className: "word", textContent: f.severity}), " ",
      element("b", {textContent: f.headline}), " ",
      element("span", {className: "dim", textContent: f.kind + (f.count > 1
        ? `, ${many(f.count, "time")}` : "")})),
    element("p", {textContent: f.what}));
  const sides = f.places.filter((p) => p.line && f.places.length > 1 && (p.line !== f.line || p.file !== f.file
    || !f.what.toLowerCase().includes(p.who.toLowerCase())));
  if (sides.length) {
    box.append(element("ul", {}, ...sides.map((p) => element("li", {},
      `${p.who} ${p.does} at `, element("a", {href: `#${lineId(p.file, p.line)}`,
        textContent: placeText(p)}), ": ", element("code", {textContent: p.source})))));
  }
  box.append(element("ul", {"aria-label": "What to try"}, ...f.advice.map((t) => element("li", {},
    element("b", {textContent: "Try: "}), t))));
  if (f.shrunk) box.append(element("p", {textContent: f.shrunk}));
  return box;
}

const found = new Map();
const elsewhere = [];
report.findings.forEach((f, i) => {
  const key = lineId(f.file, f.line);
  const shown = report.files.some((file) => file.name === f.file
    && file.lines.some(([n]) => n === f.line));
  if (!shown) { elsewhere.push(findingBox(f, i)); return; }
  if (!found.has(key)) found.set(key, []);
  found.get(key).push(findingBox(f, i));
});

// ---- the counters of a line
function panel(list) {
  const made = element("div", {className: "panel"});
  for (const c of list) {
    const facts = [];
    if (list.length > 1) facts.push(["kernel", c.kernel]);
    if (c.requests) {
      facts.push(["global memory", `${many(c.requests, "request")} of a warp, `
        + `${many(c.sectors, "sector")} (ideal ${number(c.ideal)}): `
        + `${number(32 * c.sectors)} bytes moved for ${number(c.bytes)} wanted`]);
    }
    if (c.shared_requests) {
      facts.push(["shared memory", `${many(c.shared_requests, "request")}, `
        + `${number(c.conflicts)} extra passes`]);
    }
    if (c.warps) {
      facts.push(["run by", `${many(c.warps, "warp")}, ${round(c.lanes / c.warps)} lanes on average, `
        + `${number(c.split)} times with a part of the warp`]);
    }
    if (c.flops) facts.push(["arithmetic", c.roof]);
    const calls = Object.entries(c.calls);
    if (calls.length) {
      facts.push(["maths", calls.map(([name, n]) => `${name} ${number(n)} times`).join(", ")]);
    }
    made.append(element("dl", {}, ...facts.flatMap(([k, v]) => [
      element("dt", {textContent: k}), element("dd", {textContent: v})])));
    c.examples.forEach((a) => { if (a.addresses.length) made.append(...warpDrawing(a)); });
  }
  return made;
}

// ---- rows
const rows = []; // [key, the element of the bar]
function sourceRow(file, n, text) {
  const key = lineId(file.name, n);
  const list = lines.get(key);
  const bar = element("span", {className: "bar"});
  const parts = [bar, element("span", {className: "no", textContent: String(n)}),
                 element("code", {textContent: text || " "})];
  const hit = found.has(key) ? " hit" : "";
  if (!list) return [element("div", {className: `row${hit}`, id: key}, ...parts)];
  rows.push([list, bar]);
  const row = element("button", {type: "button", className: `row${hit}`, id: key,
                                 "aria-expanded": "false"}, ...parts);
  row.onclick = () => {
    const open = row.getAttribute("aria-expanded") === "true";
    row.setAttribute("aria-expanded", String(!open));
    if (open) row.nextSibling.remove(); else row.after(panel(list));
  };
  return [row];
}

for (const file of report.files) {
  const box = element("div", {className: "listing", role: "group", "aria-label": file.name});
  let before = 0;
  for (const [n, text] of file.lines) {
    if (n !== before + 1) box.append(element("div", {className: "gap", textContent: "..."}));
    before = n;
    box.append(...sourceRow(file, n, text), ...(found.get(lineId(file.name, n)) || []));
  }
  if (report.files.length > 1) byId("files").append(element("h3", {textContent: file.name}));
  byId("files").append(box);
}
byId("files").append(...elsewhere);

// ---- which heat is shown
function show(name) {
  const heat = HEATS[name];
  byId("meaning").textContent = heat.says + " Choose a line that has a number to see its counters.";
  byId("scale").replaceChildren(...heat.steps.map((step, i) => step && element("span", {},
    element("i", {className: `heat${i + 1}`, style: `width:${8 + 9 * i}px`}), step)).filter(Boolean));
  for (const [list, bar] of rows) {
    const at = heat.value(list);
    if (!at) { bar.replaceChildren(); continue; }
    const level = Math.min(1, Math.max(0, at.hot));
    const step = Math.min(5, 1 + Math.floor(level * 4 + 0.25));
    bar.replaceChildren(
      element("i", {className: `heat${step}`, style: `width:calc(${Math.round(4 + 40 * level)}%)`}),
      element("b", {textContent: at.text}));
    bar.title = `${heat.title}: ${at.text}`;
  }
}

const usable = Object.keys(HEATS).filter((name) => rows.some(([list]) => HEATS[name].value(list)));
for (const name of usable) {
  const input = element("input", {type: "radio", name: "heat", value: name});
  input.onchange = () => show(name);
  byId("modes").append(element("label", {}, input, HEATS[name].title));
}
byId("heat").hidden = !usable.length;
if (usable.length) {
  // The kind of heat that a finding speaks of comes first.
  const kinds = report.findings.map((f) => f.kind);
  const told = [["uncoalesced", "sectors"], ["bank-conflict", "conflicts"],
                ["branch-divergence", "divergence"]].find(([kind]) => kinds.includes(kind));
  const first = told && usable.includes(told[1]) ? told[1] : usable[0];
  byId("modes").querySelector(`[value="${first}"]`).checked = true;
  show(first);
} else {
  byId("meaning").textContent = report.files.length ? "No counters: fast mode does not look." : "";
}

const boxes = [...document.querySelectorAll("details.finding")];
byId("calls").hidden = !boxes.length;
byId("calls").textContent = "Close all findings";
byId("calls").onclick = () => {
  const open = boxes.some((b) => b.open);
  boxes.forEach((b) => { b.open = !open; });
  byId("calls").textContent = open ? "Open all findings" : "Close all findings";
};

// What is worth a look is open from the start: the hottest line that has addresses to draw.
{
  const worth = [...lines.entries()].map(([key, list]) => [
    Math.max(HEATS.sectors.value(list)?.hot || 0, HEATS.conflicts.value(list)?.hot || 0), key, list]);
  worth.sort((a, b) => b[0] - a[0]);
  if (worth.length && worth[0][0] > 0 && worth[0][2].some((c) => c.examples.length)) {
    byId(worth[0][1])?.click();
  }
}

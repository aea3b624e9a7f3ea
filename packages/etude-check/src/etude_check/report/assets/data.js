// Reads the data that html.py put into the page, and holds what the reader chose. Text reaches the
// page as textContent only, so that nothing in a report can be markup.
const report = JSON.parse(document.getElementById("data").textContent);
const failed = new Set(report.failed);
const WORST = ["CRASH", "TIMEOUT", "FAIL (certain)", "FAIL (inaccurate)", "MISTRUSTED", "WAIVED",
               "PASS", "NOT RUN", "UNSUPPORTED"];
const idle = new Set(["NOT RUN", "UNSUPPORTED"]); // not executed
const LETTER = {CRASH: "C ", TIMEOUT: "T ", MISTRUSTED: "m ", WAIVED: "w "};

// One object per case again: {op, family, kind, dtype, verdict, name, ratio, details}.
const records = [];
for (const [o, f, d, v, names, ratios, details] of report.runs) {
  const [op, family] = report.ops[o];
  names.forEach((name, i) => records.push({
    op, family, kind: report.kinds[f], dtype: report.dtypes[d], verdict: report.verdicts[v],
    name, ratio: ratios[i], details: details && details[i]}));
}

function element(tag, fields = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(fields)) {
    if (key in made) made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);
const css = (verdict) => verdict.split(" ")[0]; // "FAIL (certain)" -> the class FAIL
const many = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

function caseName(r) {
  if (r.op === "-") return `the run: ${r.kind}`;
  const text = String(r.name), seeded = /@\d+$/.test(text);
  return `${r.op}/${r.kind}/${text}${seeded ? "" : "@" + report.seed}`;
}

// As summary.py's reproduction().
function again(r) {
  if (r.op === "-") return "";
  if (r.kind === "-") return `etude check ${report.target} --op ${r.op}`;
  const name = caseName(r), quote = /[{[ "]/.test(name) ? "'" : "";
  return `etude check ${report.target} --case ${quote}${name}${quote}`;
}

function ratioText(x) {
  if (x === null || x === undefined) return "";
  if (x >= 1e30) return "> 1e30";
  if (x === 0) return "0";
  return x >= 1e4 || x < 1e-3 ? x.toExponential(1) : String(Number(x.toPrecision(3)));
}

// ---- what the reader chose; every part of the page redraws itself from it
const NOTHING = {family: "", op: "", kind: "", dtype: "", verdict: "", text: ""};
const chosen = {...NOTHING};
const listeners = [];

function choose(change, scroll) {
  Object.assign(chosen, change);
  listeners.forEach((redraw) => redraw());
  if (scroll) {
    byId("cases").scrollIntoView({block: "start"});
    byId("h-cases").focus({preventScroll: true});
  }
}

// "failed" stands for every verdict that fails the run.
function fits(r) {
  const c = chosen;
  return (!c.family || r.family === c.family) && (!c.op || r.op === c.op)
    && (!c.kind || r.kind === c.kind) && (!c.dtype || r.dtype === c.dtype)
    && (!c.verdict || r.verdict === c.verdict || (c.verdict === "failed" && failed.has(r.verdict)))
    && (!c.text || words(r).includes(c.text.toLowerCase()));
}

function words(r) {
  r.words ??= [caseName(r), r.dtype, r.verdict, ...(r.details || []).map((d) => d[1])]
    .join("\n").toLowerCase();
  return r.words;
}

// ---- the head of the page
byId("target").textContent = report.target;
byId("line").textContent = report.line;
byId("line").className = report.passed ? "good" : "bad";
byId("asked").textContent =
  `Level ${report.level}, seed ${report.seed}, ${report.seconds} s, `
  + `${many(report.executed, "case")} executed, ${many(report.screens, "vacuity screen")}.`;

for (const [verdict, n] of Object.entries(report.counts)) {
  const tile = element("button", {type: "button", "aria-pressed": "false"},
    element("b", {className: css(verdict), textContent: n.toLocaleString("en")}),
    element("span", {textContent: verdict}));
  if (!n) tile.setAttribute("data-none", "");
  tile.onclick = () => choose(
    {...NOTHING, verdict: chosen.verdict === verdict ? "" : verdict}, chosen.verdict !== verdict);
  listeners.push(() => tile.setAttribute("aria-pressed", chosen.verdict === verdict));
  byId("tiles").append(element("li", {}, tile));
}

const troubles = report.blind.map((s) =>
  `Not trusted: ${s.op} ${s.dtype}, output ${s.output}. Fewer than ${s.least} cases tell it from `
  + Object.entries(s.few).map(([name, n]) => `${name} (${n})`).join(", ") + ".");
troubles.push(...report.rulings, ...report.notes);
byId("trouble").hidden = !troubles.length;
byId("notes").append(...troubles.map((t) => element("li", {textContent: t})));

byId("watched").hidden = !report.findings.length;
byId("findings").append(...report.findings.map((f) => element("li", {},
  element("pre", {className: f.error ? "bad" : "", textContent: f.text}))));

for (const [key, value] of Object.entries(report.environment)) {
  byId("environment").append(element("dt", {textContent: key}),
                             element("dd", {textContent: value}));
}
byId("score").textContent = report.score ? `The kit itself: ${report.score}` : "";

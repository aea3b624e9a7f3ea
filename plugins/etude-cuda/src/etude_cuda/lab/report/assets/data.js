// Reads the data that html.py put into the page and draws its head. Text reaches the page as
// textContent only, so that nothing in a program can be markup.
const report = JSON.parse(document.getElementById("data").textContent);

function element(tag, fields = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(fields)) {
    if (key in made) made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function svg(tag, fields, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(fields)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const byId = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");
const many = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;
const round = (x) => (x >= 100 ? String(Math.round(x)) : x.toFixed(1));
const lineId = (file, line) => `L${report.files.findIndex((f) => f.name === file)}-${line}`;
const placeText = (p) => (report.files.length > 1 ? `${p.file}:${p.line}` : `line ${p.line}`);

function dims(d) {
  const shown = d[2] > 1 ? d : d[1] > 1 ? d.slice(0, 2) : d.slice(0, 1);
  return shown.join(" x ");
}

// ---- the head of the page
byId("program").textContent = report.program;
byId("line").textContent = report.line;
byId("line").className = report.failed ? "bad" : "good";
byId("asked").textContent = report.asked;
byId("trouble").hidden = !report.notes.length;
byId("notes").append(...report.notes.map((t) => element("li", {textContent: t})));

byId("found").hidden = !report.findings.length;
report.findings.forEach((f, i) => {
  const link = element("a", {href: `#finding-${i}`, className: f.severity},
    element("span", {className: "word", textContent: f.severity}),
    element("span", {className: "head", textContent: f.headline}),
    element("span", {className: "at", textContent: f.line ? placeText(f) : f.kind}));
  link.addEventListener("click", () => {
    const box = byId(`finding-${i}`);
    box.open = true;
    box.querySelector("summary").focus({preventScroll: true});
  });
  byId("findings").append(element("li", {}, link));
});
byId("hidden").textContent = report.hidden ? `And ${many(report.hidden, "finding")} more.` : "";

for (const [name, lines] of report.fidelity) {
  byId("fidelity").append(element("div", {},
    element("h3", {textContent: name[0].toUpperCase() + name.slice(1)}),
    element("ul", {}, ...lines.map((t) => element("li", {textContent: t})))));
}

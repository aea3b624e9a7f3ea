// The list of cases behind the filters: fifty at a time, the details of one when it is opened.
{
  const PAGE = 50;
  const form = byId("filters"), list = byId("list"), more = byId("more");
  let found = [], shown = 0;

  const options = {
    family: [...new Set(report.ops.map((o) => o[1]))],
    op: report.ops.map((o) => o[0]).sort(),
    kind: report.kinds,
    dtype: report.dtypes.filter(Boolean),
    verdict: ["failed", ...report.verdicts.filter((v) => report.counts[v])],
  };
  for (const [name, values] of Object.entries(options)) {
    form.elements[name].append(new Option("all", ""), ...values.map((v) => new Option(
      v === "failed" ? "failed (all kinds)" : v, v)));
    form.elements[name].onchange = (event) => choose({[name]: event.target.value});
  }
  let pause = 0;
  form.elements.text.oninput = (event) => {
    clearTimeout(pause);
    pause = setTimeout(() => choose({text: event.target.value.trim()}), 150);
  };
  form.onsubmit = (event) => event.preventDefault();
  form.onreset = (event) => {
    event.preventDefault();
    choose({...NOTHING});
  };

  function fact(label, ...value) {
    return [element("dt", {textContent: label}), element("dd", {}, ...value)];
  }

  function copier(text) {
    const made = element("button", {type: "button", className: "copy", textContent: "Copy"});
    made.onclick = async () => {
      try {
        await navigator.clipboard.writeText(text);
        made.textContent = "Copied";
      } catch { // not allowed here: leave it selected, for the keyboard
        getSelection().selectAllChildren(made.previousSibling);
        made.textContent = "Selected";
      }
      setTimeout(() => { made.textContent = "Copy"; }, 1500);
    };
    return made;
  }

  function body(r) {
    const facts = element("dl", {className: "facts"});
    for (const [label, text] of r.details || []) facts.append(...fact(label, text));
    if (!r.details && r.ratio !== null) facts.append(...fact("error / bound", ratioText(r.ratio)));
    if (!r.details && failed.has(r.verdict)) {
      facts.append(...fact("details", "kept for the smallest failures of an op only; run it again "
                                      + "to see them"));
    }
    const line = again(r);
    if (line) {
      facts.append(...fact("run again", element("span", {className: "again"},
                                                element("code", {textContent: line}),
                                                copier(line))));
    }
    return facts;
  }

  function row(r) {
    const about = (r.details || []).find((d) => d[0] === "wrong") || (r.details || [])[0];
    const small = about ? [element("small", {textContent: about[1]})] : [];
    const made = element("details", {}, element("summary", {},
      element("b", {className: css(r.verdict), textContent: r.verdict}),
      element("code", {textContent: caseName(r)}),
      element("span", {className: "dim", textContent: r.dtype}),
      element("span", {className: "ratio dim", textContent: ratioText(r.ratio),
                       title: "error / bound"}),
      ...small));
    made.ontoggle = () => {
      if (made.open && made.children.length === 1) made.append(body(r));
    };
    return made;
  }

  function extend() {
    list.append(...found.slice(shown, shown + PAGE).map(row));
    shown = Math.min(shown + PAGE, found.length);
    more.hidden = shown === found.length;
    more.textContent = `Show ${Math.min(PAGE, found.length - shown)} more`;
    byId("found").textContent = `${many(found.length, "case")} of `
      + `${records.length.toLocaleString("en")}`
      + (shown < found.length ? `, the first ${shown} shown.` : ".");
  }

  // Those with details first, then the worst verdict.
  const rank = new Map(WORST.map((v, i) => [v, i]));
  const ordered = [...records].sort((a, b) => (a.details ? 0 : 1) - (b.details ? 0 : 1)
    || rank.get(a.verdict) - rank.get(b.verdict) || a.op.localeCompare(b.op));

  listeners.push(() => {
    for (const name of Object.keys(NOTHING)) {
      const field = form.elements[name];
      if (field !== document.activeElement || field.tagName === "SELECT") {
        field.value = chosen[name];
      }
    }
    found = ordered.filter(fits);
    shown = 0;
    list.replaceChildren();
    extend();
  });
  more.onclick = () => {
    const from = shown;
    extend();
    list.children[from]?.querySelector("summary").focus();
  };

  const bad = records.some((r) => failed.has(r.verdict));
  choose({verdict: bad ? "failed" : ""});
  if (bad && list.firstChild) list.firstChild.open = true;
}

// One warp's addresses: as sectors of global memory, with the bytes that nobody wanted hatched, or
// as banks of shared memory, one row for each pass. The number in a cell is the lane.
const SECTOR = 32, WORD = 4, BANKS = 32;

function warpDrawing(a) {
  return a.space === "shared" ? bankDrawing(a) : sectorDrawing(a);
}

function lanesByWord(a) {
  const words = new Map(); // number of the word -> the lanes that want it
  a.addresses.forEach((at, lane) => {
    if (at === null) return;
    const last = Math.floor((at + a.size - 1) / WORD);
    for (let w = Math.floor(at / WORD); w <= last; w += 1) {
      if (!words.has(w)) words.set(w, []);
      words.get(w).push(lane);
    }
  });
  return words;
}

const blockText = (a) => (a.block.length ? ` (blocks of ${dims(a.block)})` : "");
const laneText = (lanes) => (lanes.length > 2 ? `${lanes[0]}+` : lanes.join(" "));

function sectorDrawing(a) {
  const words = lanesByWord(a);
  const sectors = [...new Set([...words.keys()].map((w) => Math.floor(w * WORD / SECTOR)))];
  sectors.sort((x, y) => x - y);
  const perSector = SECTOR / WORD;
  const figures = sectors.map((s) => {
    const cells = Array.from({length: perSector}, (_, i) => {
      const lanes = words.get(s * perSector + i);
      return element("span", {className: `cell ${lanes ? "used" : "spare"}`,
        title: lanes ? `lanes ${lanes.join(", ")}` : "moved for nothing",
        textContent: lanes ? laneText(lanes) : ""});
    });
    return element("figure", {className: "sector"},
      element("figcaption", {textContent: `byte ${number(s * SECTOR)}`}),
      element("div", {}, ...cells));
  });
  const lanes = a.addresses.filter((x) => x !== null).length;
  return [
    element("h4", {textContent: `One warp's ${a.op}: ${many(lanes, "lane")}, `
      + `${many(sectors.length, "sector")}${blockText(a)}`}),
    element("p", {className: "dim", textContent: `Each box is a sector of 32 bytes; a number is the `
      + `lane that wants the word, hatched words are moved for nothing. On average over all requests: `
      + `${round(a.sectors)} sectors, ${round(a.ideal)} would do.`}),
    element("div", {className: "sectors", role: "img",
      "aria-label": `${lanes} lanes touch ${sectors.length} sectors`}, ...figures)];
}

function bankDrawing(a) {
  const banks = Array.from({length: BANKS}, () => []);
  for (const [w, lanes] of [...lanesByWord(a)].sort((x, y) => x[0] - y[0])) {
    const bank = banks[((w % BANKS) + BANKS) % BANKS];
    // One pass for each different word; atomics on the same word go one after the other as well.
    if (a.op === "atomic") bank.push(...lanes.map((lane) => [lane])); else bank.push(lanes);
  }
  const passes = Math.max(1, ...banks.map((b) => b.length));
  const head = element("tr", {}, element("th", {scope: "row", textContent: "bank"}),
    ...banks.map((_, b) => element("th", {scope: "col", textContent: String(b)})));
  const body = Array.from({length: passes}, (_, p) => element("tr", {},
    element("th", {scope: "row", textContent: `pass ${p + 1}`}),
    ...banks.map((words) => element("td", {
      className: words[p] ? (p ? "more" : "used") : "",
      textContent: words[p] ? laneText(words[p]) : ""}))));
  const lanes = a.addresses.filter((x) => x !== null).length;
  return [
    element("h4", {textContent: `One warp's ${a.op}: ${many(lanes, "lane")}, `
      + `${passes} ${passes === 1 ? "pass" : "passes"} over the banks${blockText(a)}`}),
    element("p", {className: "dim", textContent: `A number is the lane that wants a word of the bank; `
      + (a.op === "atomic" ? "atomics go one after the other. "
        : "lanes that want the same word share a pass. ")
      + `On average over all requests: ${round(1 + a.conflicts)} passes.`}),
    element("div", {className: "banks", tabindex: "0", role: "region",
      "aria-label": `${lanes} lanes take ${passes} passes over the banks`},
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)))];
}

// The table of launches with their occupancy, and the roofline of the card with its kernels.
byId("card").textContent = `What they would be on ${report.card.name}: `
  + `${round(report.card.peak / 1e12)} TFLOP/s in FP32, ${round(report.card.bandwidth / 1e9)} GB/s. `
  + `Source: ${report.card.source}.`;

byId("launched").hidden = !report.launches.length;
byId("launches").append(
  element("thead", {}, element("tr", {}, ...["Kernel", "Grid", "Block", "Shared", "Occupancy"].map(
    (t) => element("th", {scope: "col", textContent: t})))),
  element("tbody", {}, ...report.launches.map((l) => element("tr", {},
    element("td", {}, element("code", {textContent: l.kernel}),
      l.times > 1 ? ` x ${number(l.times)}` : "",
      l.status === "ok" ? "" : element("span", {className: "word", textContent: ` ${l.status}`})),
    element("td", {className: "n", textContent: dims(l.grid)}),
    element("td", {className: "n", textContent: dims(l.block)}),
    element("td", {className: "n", textContent: l.shared ? `${number(l.shared)} B` : "-"}),
    element("td", {}, element("span", {className: "full", "aria-hidden": "true"},
      element("i", {style: `width:${100 * l.share}%`})), `${Math.round(100 * l.share)} %`,
      element("small", {textContent: l.occupancy}))))));

byId("kernels").append(...report.kernels.filter((k) => k.text && (k.moved || k.flops)).map((k) => {
  const calls = Object.entries(k.calls).map(([name, n]) => `${name} ${number(n)} times`).join(", ");
  return element("li", {}, element("code", {textContent: k.name}), `: ${k.text}.`,
    calls ? ` Maths: ${calls}.` : "");
}));

{
  const LEFT = 58, TOP = 14, BOTTOM = 40, HEIGHT = 300;
  const kernels = report.kernels.filter((k) => k.flops && k.moved);
  const power = (x) => Math.log2(x);
  const least = Math.floor(Math.min(-4, ...kernels.map((k) => power(k.intensity))));
  const most = Math.ceil(Math.max(8, ...kernels.map((k) => power(k.intensity) + 1)));
  const high = power(report.card.peak * 1.6);
  const low = power(report.card.bandwidth * 2 ** least / 1.6);

  function draw() {
    const width = Math.min(Math.max(byId("roof").clientWidth || 640, 300), 860);
    const x = (p) => LEFT + (width - LEFT - 16) * (p - least) / (most - least);
    const y = (p) => TOP + (HEIGHT - TOP - BOTTOM) * (high - p) / (high - low);
    const every = width < 500 ? 4 : 2;
    const made = svg("svg", {width, height: HEIGHT, role: "img",
      "aria-label": `Roofline of ${report.card.name} with ${many(kernels.length, "kernel")}`});
    for (let p = least; p <= most; p += every) {
      made.append(svg("line", {x1: x(p), x2: x(p), y1: TOP, y2: HEIGHT - BOTTOM, class: "grid"}),
        svg("text", {x: x(p), y: HEIGHT - BOTTOM + 17, "text-anchor": "middle"},
            p < 0 ? `1/${2 ** -p}` : String(2 ** p)));
    }
    for (let d = Math.ceil(low / power(10)); d <= high / power(10); d += 1) {
      const at = y(d * power(10));
      const text = d >= 12 ? `${10 ** (d - 12)} T` : d >= 9 ? `${10 ** (d - 9)} G` : `1e${d}`;
      made.append(svg("line", {x1: LEFT, x2: width - 16, y1: at, y2: at, class: "grid"}),
        svg("text", {x: LEFT - 6, y: at + 4, "text-anchor": "end"}, text));
    }
    made.append(svg("text", {x: width - 16, y: HEIGHT - 5, "text-anchor": "end"},
                    "FLOPs per byte of memory"),
                svg("text", {x: LEFT, y: 11}, "FLOP/s"));
    const ridge = power(report.card.ridge), peak = power(report.card.peak);
    made.append(svg("polyline", {class: "roof", points: [
      [least, power(report.card.bandwidth) + least], [ridge, peak], [most, peak],
    ].map(([a, b]) => `${x(a)},${y(b)}`).join(" ")}));
    kernels.forEach((k, i) => {
      const cx = x(power(k.intensity)), cy = y(power(k.attainable));
      const end = cx > width * 0.6;
      made.append(svg("line", {class: "drop", x1: cx, x2: cx, y1: cy, y2: HEIGHT - BOTTOM}),
                  marker(i, cx, cy),
                  svg("text", {class: "name", x: cx + (end ? -10 : 10), y: cy + 20 + 15 * (i % 3),
                               "text-anchor": end ? "end" : "start"}, k.name.slice(0, 40)));
    });
    byId("roof").replaceChildren(made);
  }

  // Kernels differ in shape, not in colour.
  function marker(i, cx, cy) {
    const shapes = [
      () => svg("circle", {cx, cy, r: 6, class: "point"}),
      () => svg("rect", {x: cx - 5.5, y: cy - 5.5, width: 11, height: 11, class: "point"}),
      () => svg("polygon", {points: `${cx},${cy - 7} ${cx + 7},${cy + 6} ${cx - 7},${cy + 6}`,
                            class: "point"}),
      () => svg("polygon", {points: `${cx},${cy - 8} ${cx + 8},${cy} ${cx},${cy + 8} ${cx - 8},${cy}`,
                            class: "point"})];
    return shapes[i % shapes.length]();
  }

  byId("roofs").hidden = !report.kernels.some((k) => k.moved || k.flops);
  if (kernels.length) {
    draw(); // at once; a page in the background gets no frame
    window.addEventListener("resize", draw);
  } else {
    byId("roof").hidden = true;
  }
}

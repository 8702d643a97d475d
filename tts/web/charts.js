// The pictures, drawn by plotly from the index; selectors, runs, x axis and intervals are chosen in one form for all.

const DASHES = ["solid", "dash", "dot", "longdashdot", "longdash"]; // of runs
const OPEN = "-open";
const LEGEND = { orientation: "h", y: 1, yanchor: "bottom", traceorder: "normal", itemclick: false, itemdoubleclick: false }; // the form chooses
const drawn = new Map(); // chart's element -> what draws it
const places = new Map(); // a ticked selector's name -> its place among the looks, kept as long as it is ticked

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function seen(hex, opacity) {
  const [red, green, blue] = [1, 3, 5].map(place => parseInt(hex.slice(place, place + 2), 16));
  return `rgba(${red},${green},${blue},${opacity})`;
}

// The ticked selectors look different, the first eight in colour: each takes the first look that is free.
function settle(names) {
  for (const name of places.keys()) if (!names.has(name)) places.delete(name);
  for (const name of names) {
    if (index.baselines.includes(name) || places.has(name)) continue;
    const taken = new Set(places.values());
    places.set(name, index.looks.findIndex((_, place) => !taken.has(place)));
  }
}

// Of a ticked selector; the ink of the oracle is that of the page.
function lookOf(name) {
  if (name === index.baselines[1]) return { ...index.baseline_looks[name], colour: colour("--ink") };
  if (name === index.baselines[0]) return index.baseline_looks[name];
  return index.looks[places.get(name)] ?? index.looks.at(-1);
}

function layout(more) {
  const axis = { gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line"), automargin: true };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--ink"), size: 13 },
    margin: { l: 50, r: 12, t: 10, b: 40 },
    hoverlabel: { bgcolor: colour("--raised"), font: { color: colour("--ink") } },
    showlegend: false,
    legend: LEGEND,
    ...more,
    xaxis: { ...axis, ...more.xaxis },
    yaxis: { ...axis, ...more.yaxis },
  };
}

function draw(chart, traces, look) {
  const narrow = chart.clientWidth < 480;
  const config = { displaylogo: false, responsive: true, displayModeBar: narrow ? false : "hover", modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };
  Plotly.react(chart, traces, layout(look), config);
}

const percents = { title: { text: "problems solved (%)" }, rangemode: "tozero" };

// Every curve that is chosen and whose cost is known, and its interval as a band.
function drawCurves(chart) {
  const chosen = choices();
  const axis = index.axes.find(one => one.key === chosen.axis);
  const wanted = tickedOf(index.curves, chosen).filter(curve => chosen.runs.has(curve.run));
  const curves = wanted.filter(curve => curve.x[axis.key]);
  const missing = wanted.filter(curve => !curve.x[axis.key]).map(curve => plain(label(curve)));
  document.querySelector("#drawn output").textContent = missing.length ? `Not drawn, since their ${axis.name} are not known: ${missing.join(", ")}.` : "";
  const bands = bandsOf(curves, chosen, curve => curve.x[axis.key]);
  const lines = curves.map(curve => line(curve, curve.x[axis.key], dashOf(curve)));
  const ticks = [...new Set(curves.flatMap(curve => curve.x[axis.key]))].sort((a, b) => a - b);
  draw(chart, [...bands, ...lines], { xaxis: axisOf(axis, chosen, ticks), yaxis: percents, hovermode: "closest", showlegend: true });
}

// Those of the ticked selectors, in the form's order, from the top down.
function tickedOf(curves, chosen) {
  const names = [...chosen.names];
  return curves.filter(curve => chosen.names.has(curve.name)).sort((a, b) => names.indexOf(a.name) - names.indexOf(b.name));
}

// Of a cost, or of k, whose values are the ticks.
function axisOf(axis, chosen, ks) {
  const ticks = axis.key === "k" ? { tickvals: ks, ticktext: ks.map(String) } : { exponentformat: "power" };
  return { title: { text: axis.title }, type: chosen.log ? "log" : "linear", ...ticks };
}

function dashOf(curve) {
  return index.runs.length > 1 ? DASHES[curve.run % DASHES.length] : lookOf(curve.name).dash;
}

function told(curve, i, unit = "%") {
  return `${curve.sampled?.[i] ? "~" : ""}${curve.y[i].toFixed(1)}${unit} [${curve.low[i].toFixed(1)}, ${curve.high[i].toFixed(1)}]`;
}

function line(curve, x, dash, name = label(curve)) {
  const look = lookOf(curve.name);
  return {
    x,
    y: curve.y,
    text: curve.y.map((_, i) => `${told(curve, i)} at k = ${curve.k[i]}`),
    name,
    mode: look.marker === null ? "lines" : "lines+markers",
    line: { color: look.colour, width: 2, dash },
    marker: { symbol: look.marker ?? "circle", size: 7 },
    hovertemplate: "%{fullData.name}<br>%{text}<extra></extra>",
  };
}

// The intervals of selectors as bands; those of the baselines, which everything would lie in, are in the table.
function bandsOf(curves, chosen, xOf) {
  return curves.filter(curve => hasInterval(curve, chosen)).flatMap(curve => band(curve, xOf(curve)));
}

function hasInterval(curve, chosen) {
  return chosen.intervals && !index.baselines.includes(curve.name);
}

function band(curve, x, ink = lookOf(curve.name).colour) {
  const edge = { x, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false };
  return [
    { ...edge, y: curve.low },
    { ...edge, y: curve.high, fill: "tonexty", fillcolor: seen(ink, 0.12) },
  ];
}

function label(curve) {
  return index.runs.length > 1 ? `${curve.name} · ${index.runs[curve.run].label}` : curve.name;
}

// A run's parts: chosen curves beside each other in each part, with intervals.
function drawParts(chart, parts) {
  const chosen = choices();
  const dated = !/^(difficulty|platform)-/.test(chart.id);
  const curves = tickedOf(parts.curves, chosen);
  const traces = curves.map(curve => {
    const look = lookOf(curve.name);
    const above = curve.high.map((high, i) => high - curve.y[i]);
    const below = curve.low.map((low, i) => curve.y[i] - low);
    return {
      x: parts.names,
      y: curve.y,
      name: curve.name,
      mode: dated ? "lines+markers" : "markers",
      line: { color: look.colour, width: 1.5, dash: look.dash },
      marker: { symbol: look.marker ?? "line-ew-open", size: 9, color: look.colour, line: { width: look.marker ? 0 : 2 } },
      error_y: { type: "data", array: above, arrayminus: below, visible: hasInterval(curve, chosen) && !dated, thickness: 1.2, width: 2, color: look.colour },
      hovertemplate: "%{fullData.name}<br>%{y:.1f}% of %{x}<extra></extra>",
    };
  });
  const bands = dated ? bandsOf(curves, chosen, () => parts.names) : [];
  const look = dated ? {} : { scattermode: "group", scattergap: 0.3 };
  draw(chart, [...bands, ...traces], { ...look, xaxis: { type: "category" }, yaxis: percents, showlegend: true });
}

function drawCounts(chart, counts) {
  const text = counts.counts.map((count, i) => `${count.toLocaleString("en")} (${counts.shares[i].toFixed(counts.shares[i] < 1 ? 1 : 0)}%)`);
  const bars = { type: "bar", orientation: "h", x: counts.counts, y: counts.names, text, textposition: "auto", cliponaxis: false, marker: { color: colour("--bar") }, hovertemplate: "%{y}: %{text}<extra></extra>" };
  draw(chart, [bars], { xaxis: { visible: false }, yaxis: { autorange: "reversed", ticksuffix: "  ", showgrid: false }, margin: { l: 10, r: 40, t: 4, b: 4 } });
}

// How often the higher score is right, by how much higher it is.
function drawMargins(chart, margins) {
  const points = (bins, name, symbol, ink) => ({
    x: bins.from.map((from, i) => (from + bins.to[i]) / 2),
    y: bins.y,
    text: bins.from.map((from, i) => `${from.toPrecision(3)} to ${bins.to[i].toPrecision(3)}, ${bins.sizes[i].toLocaleString("en")}`),
    name,
    mode: "markers",
    marker: { symbol, size: 9, color: ink },
    error_y: { type: "data", array: bins.high.map((high, i) => high - bins.y[i]), arrayminus: bins.low.map((low, i) => bins.y[i] - low), thickness: 1.2, width: 3, color: ink },
    hovertemplate: "%{fullData.name} with a margin of %{text}: %{y:.1f}%<extra></extra>",
  });
  const { choices: chosen, pairs, fitted } = margins;
  const [blue, orange] = index.looks.map(look => look.colour);
  const traces = [
    { x: pairs.from.map((from, i) => (from + pairs.to[i]) / 2), y: fitted, mode: "lines", name: "if log odds", line: { color: orange, width: 1.5, dash: "dot" }, hovertemplate: "%{y:.1f}% if differences were log odds<extra></extra>" },
    points(pairs, "pairs", "square" + OPEN, orange),
    points(chosen, "choices", "circle", blue),
  ];
  const half = { type: "line", xref: "paper", x0: 0, x1: 1, y0: 50, y1: 50, line: { color: colour("--soft"), width: 1, dash: "dash" } };
  draw(chart, traces, { shapes: [half], showlegend: true, xaxis: { title: { text: "difference of scores" }, rangemode: "tozero" }, yaxis: { title: { text: "right (%)" }, range: [-2, 102] } });
}

// pass@k up to n as it is, beyond as it is foretold.
function drawForecast(chart, { exact, foretold }) {
  const ink = index.looks[0].colour;
  const part = (curve, name, dash) => ({
    x: curve.k,
    y: curve.y,
    text: curve.y.map((_, i) => `${told(curve, i)} at k = ${curve.k[i]}`),
    name,
    mode: "lines+markers",
    line: { color: ink, width: 2, dash },
    hovertemplate: "%{fullData.name}<br>%{text}<extra></extra>",
  });
  const bands = [exact, foretold].flatMap(curve => band(curve, curve.k, ink));
  const ks = [...new Set([...exact.k, ...foretold.k])];
  const xaxis = { title: { text: "k" }, type: "log", tickvals: ks, ticktext: ks.map(String) };
  draw(chart, [...bands, part(exact, "pass@k, exact", "solid"), part(foretold, "pass@k, foretold", "dot")], { xaxis, yaxis: percents, showlegend: true });
}

// Every chosen selector of every chosen run over cost, and the front of all strategies in ink.
function drawFront(chart, { axis, curves, front }) {
  const chosen = choices();
  const lines = tickedOf(curves, chosen).filter(curve => chosen.runs.has(curve.run)).map(curve => ({ ...line(curve, curve.x, dashOf(curve)), opacity: 0.6 }));
  const best = {
    x: front.x,
    y: front.y,
    text: front.of.map((of, i) => `${of}, k = ${front.k[i]}: ${told(front, i)}`),
    name: "Pareto front",
    mode: "lines+markers",
    line: { color: colour("--ink"), width: 1.5, shape: "hv" },
    marker: { symbol: "circle-open", size: 12, color: colour("--ink"), line: { width: 2 } },
    error_y: { type: "data", array: front.high.map((high, i) => high - front.y[i]), arrayminus: front.low.map((low, i) => front.y[i] - low), visible: chosen.intervals, thickness: 1, width: 3, color: colour("--ink") },
    hovertemplate: "%{text}<extra>Pareto front</extra>",
  };
  draw(chart, [...lines, best], { xaxis: axisOf(axis, chosen, [...new Set(front.x)]), yaxis: percents, hovermode: "closest", showlegend: true });
}

// How much better one run is than another for the same cost, by selector.
function drawEven(chart, { axis, runs, curves }) {
  const chosen = choices();
  const shown = tickedOf(curves, chosen);
  const lines = shown.map(curve => ({
    ...line({ ...curve, k: curve.ks }, curve.x, lookOf(curve.name).dash, curve.name),
    text: curve.y.map((_, i) => `${told(curve, i, "")} points, k = ${curve.ks[i].join(` in ${runs[0]}, `)} in ${runs[1]}`),
  }));
  const zero = { type: "line", xref: "paper", x0: 0, x1: 1, y0: 0, y1: 0, line: { color: colour("--soft"), width: 1 } };
  const yaxis = { title: { text: `${runs[1]} less ${runs[0]} (points)` } };
  const bands = bandsOf(shown, chosen, curve => curve.x);
  draw(chart, [...bands, ...lines], { shapes: [zero], xaxis: axisOf(axis, chosen, [...new Set(shown.flatMap(curve => curve.x))]), yaxis, hovermode: "closest", showlegend: true });
}

// What the form says.
function choices() {
  const form = document.querySelector("#drawn");
  const ticked = name => [...form.querySelectorAll(`input[name=${name}]:checked`)].map(box => box.value);
  return {
    axis: form.elements.axis.value,
    log: form.elements.log.checked,
    intervals: form.elements.intervals.checked,
    names: new Set(ticked("selector")),
    runs: new Set(ticked("run").map(Number)),
  };
}

function box(name, value, text, checked) {
  return element("label", {}, element("input", { type: "checkbox", name, value, checked }), element("i"), " ", text);
}

function offerChoices() {
  const form = document.querySelector("#drawn");
  form.elements.axis.append(...index.axes.map(axis => element("option", { value: axis.key, disabled: !axis.known }, axis.known ? axis.name : `${axis.name} (not known)`)));
  const ends = new Map(index.curves.map(curve => [curve.name, curve.y.at(-1)]));
  const first = new Set([...index.first, ...index.baselines]);
  const byHeight = [...ends.keys()].sort((a, b) => ends.get(b) - ends.get(a));
  form.querySelector("#selectors").append(...byHeight.map(name => box("selector", name, plain(name), first.has(name))));
  form.querySelector("#runs").append(...index.runs.map((run, place) => box("run", place, run.name, true)));
  settle(first);
  showLooks();
  form.addEventListener("input", choose);
  form.addEventListener("submit", event => event.preventDefault());
  form.hidden = false;
}

function choose() {
  settle(choices().names);
  showLooks();
  drawAll();
  list(limit);
}

// Beside each ticked selector its colour.
function showLooks() {
  for (const input of document.querySelectorAll("#selectors input"))
    input.parentElement.style.setProperty("--swatch", input.checked ? lookOf(input.value).colour : "transparent");
}

// Labels are written for plotly; elsewhere they are text.
function plain(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function drawAll() {
  for (const [chart, how] of drawn) how(chart);
}

// Each picture is drawn when it comes near the part of the page that is seen, and all are before they are printed.
function drawWhenSeen() {
  const charts = [...document.querySelectorAll(".chart")];
  const near = new IntersectionObserver(entries => entries.filter(entry => entry.isIntersecting).forEach(entry => drawFirst(entry.target)), { rootMargin: "400px" });
  const drawFirst = chart => {
    near.unobserve(chart);
    drawn.set(chart, howToDraw(chart.id));
    drawn.get(chart)(chart);
  };
  charts.forEach(chart => near.observe(chart));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  addEventListener("beforeprint", () => {
    document.documentElement.dataset.printing = "yes"; // on paper all is light
    charts.filter(chart => !drawn.has(chart)).forEach(drawFirst);
    drawAll();
  });
  addEventListener("afterprint", () => {
    delete document.documentElement.dataset.printing;
    drawAll();
  });
}

function howToDraw(id) {
  if (id === "curves") return drawCurves;
  const kinds = { parts: drawParts, counts: drawCounts, margins: drawMargins, forecasts: drawForecast, fronts: drawFront, evens: drawEven };
  const [kind, how] = Object.entries(kinds).find(([kind]) => id in index[kind]);
  return chart => how(chart, index[kind][id]);
}

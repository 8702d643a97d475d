// The list of problems: filtered, sorted, and opened one by one.

const AT_ONCE = 100; // problems listed before one asks for more
const MOST_MARKS = 12; // beside a problem: more would leave its name no room
const SOLVED = { 1: ["✓", "right"], 0: ["✗", "wrong"] };
let rows = []; // the problems, each with its words and its place in its group
let columns = []; // of each curve its run, its place there, its name
let marked = []; // those of the ticked selectors, whose choices the list marks
let limit = AT_ONCE;

function prepare() {
  const first = new Map();
  rows = index.problems.map((problem, place) => {
    if (!first.has(problem.group)) first.set(problem.group, place);
    const words = [problem.id, problem.title, ...problem.tags, ...problem.more, problem.words].join("\n").toLowerCase();
    return { ...problem, place: place - first.get(problem.group), number: place, words };
  });
  columns = index.runs.flatMap((_, run) => index.curves.filter(curve => curve.run === run).map((curve, place) => ({ run, place, key: curve.name, name: plain(curve.name), label: plain(label(curve)) })));
}

function offerFilters() {
  const form = document.querySelector("#filter");
  const options = (select, pairs) => form.elements[select].append(...pairs.map(([value, text]) => element("option", { value }, text)));
  const chosen = columns.map((column, place) => [place, column]).filter(([, column]) => !index.baselines.includes(column.name));
  const named = chosen.map(([place, column]) => [place, column.label]);
  options("right", [["", "anything"], ["any", "a candidate"], ["none", "no candidate"], ...named]);
  options("wrong", [["", "nothing"], ["any", "a selector that could"], ...named]);
  options("judged", named.length ? named : [[0, columns[0].label]]);
  const ks = [...new Set(index.runs.flatMap(run => run.ks))].sort((a, b) => b - a);
  options("k", ks.map(k => [k, String(k)]));
  form.elements.k.value = String(ks.find(k => index.runs.every(run => run.ks.includes(k))) ?? ks[0]);
  const margins = index.runs.flatMap((run, place) => run.scorers.map((scorer, i) => [`margin ${place} ${i}`, `margin of ${scorer}${index.runs.length > 1 ? ` · ${run.name}` : ""}`]));
  options("sort", [["regret", "largest regret"], ["number", "the run's order"], ["id", "id"], ["hard", "fewest passed"], ["easy", "most passed"], ["date", "latest"], ...margins]);
  form.elements.judged.value = String(bestColumn());
  form.addEventListener("input", () => list(AT_ONCE));
  form.addEventListener("submit", event => event.preventDefault());
  document.querySelector("#further").addEventListener("click", () => list(limit + AT_ONCE));
  form.hidden = false;
}

// The selector that the verdict is about: of the first run, the highest at its largest k.
function bestColumn() {
  const ends = columns.map((column, place) => [index.curves.filter(curve => curve.run === column.run)[column.place].y.at(-1), place]);
  const able = ends.filter(([, place]) => columns[place].run === 0 && !index.baselines.includes(columns[place].name));
  return able.length ? able.reduce((best, one) => (one[0] > best[0] ? one : best))[1] : 0;
}

function valueAt(row, column, k) {
  const held = row.runs[column.run];
  const place = index.runs[column.run].ks.indexOf(k);
  return held === null || place < 0 ? null : held.at[column.place][place];
}

// What the oracle solves there beyond the selector.
function regret(row, column, k) {
  const oracle = columns.find(one => one.run === column.run && one.name === index.baselines[1]);
  const mine = valueAt(row, column, k);
  return mine === null ? null : valueAt(row, oracle, k) - mine;
}

function right(row, column) {
  return row.runs[column.run]?.right[column.place] ?? null;
}

function solvable(row, column) {
  return (row.runs[column.run]?.passed ?? 0) > 0;
}

function matching(form) {
  const words = form.text.value.toLowerCase();
  const passed = row => row.runs.some(held => held?.passed);
  const missed = (row, column) => solvable(row, column) && right(row, column) !== 1;
  const solvedBy = { "": () => true, any: passed, none: row => !passed(row) }[form.right.value] ?? (row => right(row, columns[form.right.value]) === 1);
  const selectors = columns.filter(column => !index.baselines.includes(column.name));
  const missedBy = { "": () => true, any: row => selectors.some(column => missed(row, column)) }[form.wrong.value] ?? (row => missed(row, columns[form.wrong.value]));
  return rows.filter(row => row.words.includes(words) && solvedBy(row) && missedBy(row));
}

function sorter(form, column, k) {
  const share = row => row.runs.reduce((sum, held) => sum + (held ? held.passed / held.n : 0), 0);
  const margin = row => row.runs[form.sort.value.split(" ")[1]]?.margins[form.sort.value.split(" ")[2]] ?? -Infinity;
  const orders = {
    regret: (a, b) => (regret(b, column, k) ?? -1) - (regret(a, column, k) ?? -1),
    number: () => 0,
    id: (a, b) => (a.id < b.id ? -1 : 1),
    hard: (a, b) => share(a) - share(b),
    easy: (a, b) => share(b) - share(a),
    date: (a, b) => (a.tags[2] < b.tags[2] ? 1 : a.tags[2] > b.tags[2] ? -1 : 0),
  };
  const order = orders[form.sort.value] ?? ((a, b) => margin(b) - margin(a));
  return (a, b) => order(a, b) || a.number - b.number;
}

function list(most) {
  limit = most;
  const form = document.querySelector("#filter").elements;
  const [column, k] = [columns[form.judged.value], Number(form.k.value)];
  const found = matching(form).sort(sorter(form, column, k));
  marked = tickedColumns();
  document.querySelector("#legend").replaceChildren(...marked.map(one => element("span", {}, one.label)));
  document.querySelector("#list").replaceChildren(...found.slice(0, limit).map(row => problemOf(row, column, k)));
  document.querySelector("#further").hidden = found.length <= limit;
  document.querySelector("#filter output").textContent = `${found.length} of ${rows.length} problems`;
}

function tickedColumns() {
  const { names, runs } = choices();
  return columns.filter(one => runs.has(one.run) && names.has(one.key)).slice(0, MOST_MARKS);
}

// How many selectors choose right from all candidates.
function solvers(row) {
  const able = columns.filter(one => !index.baselines.includes(one.name) && row.runs[one.run] !== null);
  return `${able.filter(one => right(row, one) === 1).length} of ${able.length}`;
}

function problemOf(row, column, k) {
  const lost = regret(row, column, k);
  const passed = row.runs.map(held => (held === null ? "not in it" : `${held.passed} of ${held.n} passed`)).join(", ");
  const summary = element(
    "summary",
    {},
    element("span", { class: "name" }, element("b", {}, row.id), row.title ? ` ${row.title}` : null, ...[...row.tags, ...row.more].filter(Boolean).map(tag => element("span", { class: "tag" }, tag))),
    element("span", { class: `chip ${row.runs.some(held => held?.passed) ? "good" : "bad"}` }, passed),
    element("span", { class: "solvers", title: "Selectors that choose a right candidate from all; open the problem for their names" }, `solved by ${solvers(row)}`),
    element("span", { class: "cells" }, ...marked.map(one => cell(row, one, k))),
    element("span", { class: "regret", title: `What an oracle gains over ${column.label} at k = ${k}` }, lost === null ? "–" : `regret ${(100 * lost).toFixed(0)}%`),
  );
  const shown = element("details", { class: "problem", "data-id": row.id }, summary);
  shown.addEventListener("toggle", () => shown.open && shown.childElementCount === 1 && fill(shown, row));
  return shown;
}

// At the run's largest k the choice itself; below it how likely the selector is to be right.
function cell(row, column, k) {
  const ks = index.runs[column.run].ks;
  const value = valueAt(row, column, k);
  const whole = k === ks.at(-1);
  const [sign, kind] = SOLVED[right(row, column)] ?? ["–", "none"];
  const text = value === null ? "" : whole ? sign : (100 * value).toFixed(0);
  const said = whole ? { right: "right", wrong: "wrong", none: "no choice" }[kind] : `${text}%`;
  return element("span", { class: `cell ${whole ? kind : "share"}${solvable(row, column) ? "" : " hopeless"}`, style: `--share: ${value ?? 0}`, title: `${column.label}: ${said}`, role: "img", "aria-label": `${column.label}: ${said}` }, text);
}

async function fill(shown, row) {
  const body = element("div", {}, note("Loading."));
  shown.append(body);
  try {
    body.replaceChildren(...(await openProblem(row)));
  } catch (error) {
    body.replaceChildren(element("p", { class: "chip bad", role: "alert" }, error.message));
    loads.delete(row.group);
    shown.addEventListener("toggle", () => shown.open || body.remove(), { once: true });
  }
}

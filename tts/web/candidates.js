// One problem, opened: its statement, its public tests, and each run's candidates.

const ORDERS = {
  index: (a, b) => a.index - b.index,
  verdict: (a, b) => b.program.passed - a.program.passed || a.index - b.index,
  "behaviour class": (a, b) => (a.program.class ?? Infinity) - (b.program.class ?? Infinity) || a.index - b.index,
  "log probability": (a, b) => (b.logprob ?? -Infinity) - (a.logprob ?? -Infinity),
  tokens: (a, b) => (a.tokens ?? 0) - (b.tokens ?? 0),
};

async function openProblem(row) {
  const opened = (await group(row.group))[row.place];
  const parts = [...listing(opened.statement, "statement", "Statement")];
  if (opened.starter.length) parts.push(...listing(opened.starter, "code", "Starter code"));
  if (opened.tests.length) parts.push(publicTests(opened.tests));
  opened.runs.forEach((found, run) => found && parts.push(...candidatesOf(found, run, opened.tests, choosers(row, run))));
  return parts;
}

function publicTests(tests) {
  const shown = tests.flatMap((test, number) => [element("h4", {}, `Public test ${number}`), ...inputAndExpected(test)]);
  return element("details", {}, element("summary", {}, `Public tests (${tests.length})`), ...shown);
}

function inputAndExpected(test) {
  return [note("Input:"), ...listing(test.input, "detail", "Input"), note("Expected:"), ...listing(test.expected, "detail", "Expected")];
}

function note(text) {
  return element("p", { class: "note" }, text);
}

// Which selectors choose right, and which wrong; what abstained says so itself.
function choosers(row, run) {
  const mine = columns.filter(one => one.run === run && !index.baselines.includes(one.name));
  const named = [["Right", 1], ["Wrong", 0]].map(([words, value]) => [words, mine.filter(one => right(row, one) === value).map(one => one.name)]);
  return named.filter(([, names]) => names.length).map(([words, names]) => note(`${words} (${names.length}): ${names.join(", ")}`));
}

function candidatesOf(found, run, tests, told) {
  const candidates = found.candidates.map(one => ({ ...one, program: found.programs[one.program] }));
  const sizes = new Map();
  for (const one of candidates) sizes.set(one.program.class, (sizes.get(one.program.class) ?? 0) + 1);
  const rows = candidates.map(one => [one, candidateOf(one, run, tests, sizes)]);
  const list = element("div", {}, ...rows.map(([, shown]) => shown));
  const heading = element("h3", {}, index.runs.length > 1 ? `${index.runs[run].name}: ${candidates.length} candidates` : `${candidates.length} candidates`);
  const abstained = found.abstained.map(([name, why]) => note(`${name} abstained: ${why}`));
  const cost = found.cost ? [note(`Cost: ${found.cost}`)] : [];
  return [heading, ...told, ...cost, ...abstained, ordering(rows, run, list), list];
}

function ordering(rows, run, list) {
  const scorers = index.runs[run].scorers.map((scorer, place) => [`score by ${scorer}`, byScore(place)]);
  const orders = new Map([...Object.entries(ORDERS), ...scorers]);
  const order = element("select", {}, ...[...orders.keys()].map(name => element("option", {}, name)));
  const kind = element("select", {}, ...["all", "passed", "failed", "chosen"].map(name => element("option", {}, name)));
  const show = () => {
    const wanted = { all: () => true, passed: one => one.program.passed, failed: one => !one.program.passed, chosen: one => one.chosen.length > 0 }[kind.value];
    const kept = rows.filter(([one]) => wanted(one)).sort(([a], [b]) => [...orders.values()][order.selectedIndex](a, b));
    list.replaceChildren(...kept.map(([, shown]) => shown));
  };
  const form = element("form", { class: "controls" }, element("label", {}, "candidates ", kind), element("label", {}, "sorted by ", order));
  form.addEventListener("input", show);
  form.addEventListener("submit", event => event.preventDefault());
  return form;
}

function byScore(place) {
  return (a, b) => (b.scores[place] ?? -Infinity) - (a.scores[place] ?? -Infinity);
}

function candidateOf(one, run, tests, sizes) {
  const { program } = one;
  const facts = index.runs[run].scorers.map((scorer, place) => `${scorer} ${one.said[place]}`);
  if (one.logprob !== null) facts.push(`log probability ${one.logprob.toFixed(3)}`);
  if (one.tokens !== null) facts.push(`${one.tokens} tokens`);
  facts.push(`finish ${one.finish}`, `extraction ${one.extraction}${one.truncated ? ", cut off" : ""}`);
  const alike = program.class === null ? null : element("span", { class: "chip" }, `behaviour ${program.class} (${sizes.get(program.class) === 1 ? "alone" : `${sizes.get(program.class)} alike`})`);
  const summary = element(
    "summary",
    {},
    element("span", { class: "index" }, `#${one.index}`),
    element("span", { class: `chip ${program.passed ? "good" : "bad"}` }, `${program.passed ? "✓" : "✗"} ${program.verdict}`),
    alike,
    ...one.chosen.map(([name]) => element("span", { class: "chip badge" }, name)),
    element("span", { class: "facts" }, facts.join(" · ")),
  );
  const shown = element("details", { class: "candidate" }, summary);
  shown.addEventListener("toggle", () => shown.childElementCount > 1 || shown.append(...programOf(one, tests)));
  return shown;
}

function programOf(one, tests) {
  const { program } = one;
  const parts = one.chosen.map(([name, why]) => note(`Chosen by ${name}: ${why}`));
  if (program.raw) parts.push(note("No program was extracted; the whole answer:"), ...listing(program.code, "raw", "Answer"));
  else parts.push(...listing(program.code, "code", "Program"));
  if (program.passed || program.raw) return parts;
  parts.push(note(`What went wrong (${program.cost}):`), ...listing(program.detail, "detail", "What went wrong"));
  if (program.failed === null) return [...parts, note("It failed a hidden test, whose input and answer are not shown.")];
  parts.push(note(`Public test ${program.failed}.`), ...inputAndExpected(tests[program.failed]));
  for (const [name, what] of [["got", "Got:"], ["diff", "The expected lines with - and those got with +:"], ["stderr", "The end of standard error:"]])
    if (program[name].length) parts.push(note(what), ...listing(program[name], "detail", what));
  return parts;
}

"use strict";
// One or two runs that the reader picked, in the table, in a chart or by "#run-ID": their curves,
// settings and results, side by side.

// ---- all runs ----------------------------------------------------------------------------------

const allRuns = (() => {
  let ready = null;

  function prepare(data) {
    const [run, sweep] = data.columns.map((column) => cellsOf(column));
    const count = new Map();
    run.forEach((name) => count.set(name, (count.get(name) ?? 0) + 1));
    const ids = run.map((name, row) => (count.get(name) === 1 ? name : `${sweep[row]}/${name}`));
    const place = new Map();
    run.forEach((name, row) => { if (!place.has(name)) place.set(name, row); });
    run.forEach((name, row) => place.set(`${sweep[row]}/${name}`, row));
    return { ...data, run, sweep, ids, place };
  }

  return () => (ready ??= Promise.resolve(readJson("runs-data")).then(prepare));
})();

/** A value for each run. */
function cellsOf({ values, names, index }) {
  return values ?? index.map((place) => names[place] ?? "");
}

function cellOf({ values, names, index }, row) {
  return values ? values[row] : names[index[row]] ?? "";
}

// ---- which are picked --------------------------------------------------------------------------

const picked = (() => {
  const listeners = [];
  let [rows, data] = [[], null];

  async function set(next) {
    data = await allRuns();
    if (next.length === rows.length && next.every((row, i) => row === rows[i])) return;
    rows = next;
    keep();
    listeners.forEach((listener) => listener());
  }

  function keep() {
    const ids = rows.map((row) => data.ids[row]);
    const anchored = address.anchor().startsWith("run-");
    if (anchored) address.move(ids.length ? `run-${ids[0]}` : "runs");
    address.set("runs", anchored && ids.length < 2 ? "" : ids.map(viewText.escape).join(","));
  }

  return {
    rows: () => rows,
    of: (sweep) => rows.filter((row) => data.sweep[row] === sweep).map((row) => data.run[row]),
    set,
    /** Picks a run, or gives it back; `further`: beside the one that is picked. */
    async toggle(sweep, name, further) {
      const row = (await allRuns()).place.get(`${sweep}/${name}`);
      if (row === undefined) return;
      const others = rows.filter((one) => one !== row);
      const was = others.length < rows.length;
      if (further) await set(was ? others : [...others, row].slice(-2));
      else await set(was && !others.length ? [] : [row]);
    },
    onChange: (listener) => listeners.push(listener),
  };
})();

/** Shows a run by its name (or sweep/name): its curve and settings come into view. */
async function showRun(id) {
  const row = (await allRuns()).place.get(id);
  if (row === undefined) return;
  await picked.set([row]);
  document.getElementById("picked").scrollIntoView();
}

/** What the address says; the anchor "run-ID" stands for that run alone. */
async function restorePicked() {
  const listed = address.get("runs").split(",").filter(Boolean).map(viewText.unescape);
  const anchored = address.anchor().startsWith("run-");
  if (!listed.length && anchored) return showRun(address.anchor().slice(4));
  const known = listed.length ? (await allRuns()).place : null;
  const rows = listed.map((id) => known.get(id)).filter((row) => row !== undefined).slice(0, 2);
  if (!rows.length) address.set("runs", "");
  await picked.set(rows);
  if (anchored && listed.length) document.getElementById("picked").scrollIntoView();
}

// ---- what is shown of them ---------------------------------------------------------------------

function startPicked() {
  const box = make("section", { id: "picked", hidden: true, "aria-label": "Picked runs" });
  document.getElementById("runs-table").after(box);
  picked.onChange(() => fillPicked(box));
  address.onChange((whole) => {
    if (whole || address.anchor().startsWith("run-")) restorePicked();
  });
  if (address.get("runs") || address.anchor().startsWith("run-")) restorePicked();
}

async function fillPicked(box) {
  const rows = picked.rows();
  const data = await allRuns();
  box.hidden = !rows.length;
  if (!rows.length) return box.replaceChildren();
  const title = rows.length > 1 ? "Two runs side by side" : `Run ${data.run[rows[0]]}`;
  const close = make("button", { type: "button", onclick: () => picked.set([]) }, "Close");
  const holder = make("div", { className: "picked-curves" });
  const hint = rows.length > 1 ? [] : [make("p", { className: "muted" }, "Pick a second run by its box in the table, or by Ctrl, ⌘ or Shift and a click, to see what differs.")];
  box.replaceChildren(make("h3", {}, title, " ", close), ...rows.map((row) => pickedLine(data, row)), ...hint, holder, settingsTable(data, rows), everySetting(data, rows));
  await drawPicked(holder, data, rows);
}

function pickedLine(data, row) {
  const [, , status, arm] = data.columns.map((column) => cellOf(column, row));
  const url = data.urls[row];
  const among = boxOf(data.sweep[row]) ? [make("button", { type: "button", onclick: () => showAmong(data, row) }, "Show among its group")] : [];
  return make("p", { className: "picked-run" },
    make("a", { href: `#run-${encodeURIComponent(data.ids[row])}` }, data.run[row]),
    ` of ${data.sweep[row]}, ${arm}, ${status} `, ...(url ? [make("a", { href: url }, "folder"), " "] : []), ...among);
}

/** Of one run what tells it apart in its sweep, of two what differs; then what came out. */
function settingsTable(data, rows) {
  const own = new Set([...(data.sweeps[data.sweep[rows[0]]] ?? []), "seed"]);
  const listed = rows.length > 1
    ? data.settings.filter(({ index }) => index[rows[0]] !== index[rows[1]])
    : data.settings.filter(({ title }) => own.has(title));
  const line = (title, cells) => make("tr", {},
    make("th", { scope: "row" }, title), ...cells.map((text) => make("td", {}, text)));
  const results = data.columns.filter(({ kind, title }) => kind === "number" && title !== "seed" && !data.settings.some((one) => one.title === title))
    .map((column) => line(column.title, rows.map((row) => cellText(cellOf(column, row), column.decimals))));
  const settings = listed.map((setting) => line(setting.title, rows.map((row) => cellOf(setting, row) || "(empty)")));
  const head = make("tr", {}, make("th", { scope: "col" }, rows.length > 1 ? "differs" : "setting"), ...rows.map((row) => make("th", { scope: "col" }, data.run[row])));
  return make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Settings and results" },
    make("table", { className: "compared" },
      make("caption", {}, captionOf(rows, listed)),
      make("thead", {}, head),
      make("tbody", { className: "differing" }, ...settings),
      make("tbody", { className: "came-out" }, ...results)));
}

function captionOf(rows, listed) {
  if (rows.length < 2) return "What tells it apart in its sweep, and what came out";
  if (!listed.length) return "No setting differs; what came out";
  return `${listed.length} setting${listed.length > 1 ? "s differ" : " differs"}, all others are the same; what came out`;
}

function everySetting(data, rows) {
  const all = [
    ...data.settings.map((setting) => [setting.title, [...new Set(rows.map((row) => cellOf(setting, row)))].join(" | ")]),
    ...data.shared,
  ].sort(([a], [b]) => (a < b ? -1 : 1));
  const entries = all.map(([key, value]) => make("div", {}, make("dt", {}, make("code", {}, key)), make("dd", {}, value)));
  return make("details", {}, make("summary", {}, "Every setting"), make("dl", { className: "settings" }, ...entries));
}

// ---- their curves ------------------------------------------------------------------------------

function boxOf(sweep) {
  return [...document.querySelectorAll(".interactive")].find((box) => box.dataset.sweep === sweep);
}

/** A run with what its sweep's data say of it; null where its sweep has no curves. */
async function readRun(data, row) {
  const box = boxOf(data.sweep[row]);
  if (!box) return null;
  const [curves, seeds] = await Promise.all([sweepData.curves(box.dataset.curves), sweepData.seeds(box.dataset.seeds)]);
  const run = seeds?.place.get(data.run[row]);
  if (run === undefined) return null;
  const group = seeds.group[run];
  return { curves, seeds, run, name: data.run[row], look: curves.arms[curves.groups[group][0]], condition: curves.conditions[group] };
}

async function drawPicked(holder, data, rows) {
  const read = (await Promise.all(rows.map((row) => readRun(data, row)))).filter(Boolean);
  if (!read.length || !holder.isConnected) return;
  for (let i = charts.length; i--;) if (!charts[i].holder.isConnected) charts.splice(i, 1);
  const chart = Object.assign(emptyChart(pickedData(read), "picked runs"), {
    gather: (own) => gatherPicked(own, read),
    choose: () => {},
    tell: () => address.set("v", choiceText(chart)),
  });
  chart.seeds = { runs: read.map(({ name }) => name), seed: read.map(({ seeds, run }) => seeds.seed[run]) };
  chart.choice = choiceOf(address.get("v"), chart.data);
  chart.zoomed = () => chart.tell(chart);
  holder.replaceChildren(pickedControls(chart), chart.holder, chart.readout, pickedLegend(chart, read));
  charts.push(chart);
  draw(chart);
}

/** As a sweep of these runs alone, each a group of its own. */
function pickedData(read) {
  const metrics = new Map(read.flatMap(({ curves }) => curves.metrics).map(({ name, label, log }) => [name, { name, label, log }]));
  const [{ curves }] = read;
  return {
    axes: curves.axes,
    diverged: curves.diverged,
    metrics: [...metrics.values()],
    results: [],
    keys: [],
    selection: [],
    arms: read.map(({ look }) => look),
    groups: read.map((_, i) => [i]),
    conditions: read.map(({ condition }) => condition),
  };
}

function gatherPicked(chart, read) {
  const metric = measure(chart).name;
  chart.crosses = [];
  chart.lines = read.map(({ seeds, run, look, name }, i) => {
    const curve = runCurve(seeds, metric, run, chart.choice.x);
    return curve && { group: i, run: i, panel: 0, kind: "run", name, width: 2, colour: look[shade()], dash: DASHES[i], ...curve };
  }).filter(Boolean);
  read.forEach(({ seeds, run }, group) => {
    const line = chart.lines.find((one) => one.group === group);
    const last = line ? line.y.findLastIndex((y) => y !== null) : -1;
    if (seeds.statuses[seeds.status[run]] !== "diverged" || last < 0) return;
    chart.crosses.push({ group, panel: 0, colour: line.colour, x: line.x[last], y: line.y[last] });
  });
}

function pickedControls(chart) {
  const { data, choice } = chart;
  const line = make("div", { className: "line" });
  const fill = () => {
    const change = (changes) => { Object.assign(choice, changes); fill(); draw(chart); };
    line.replaceChildren(
      picker("metric", data.metrics.map(({ label }, i) => [i, label]), choice.metric, (value) => change({ metric: Number(value), logY: null })),
      picker("against", Object.entries(data.axes), choice.x, (x) => change({ x, logX: null, zoom: null })),
      logBox(chart, "x"), logBox(chart, "y"));
  };
  fill();
  return make("div", { className: "controls" }, line);
}

function pickedLegend(chart, read) {
  const items = read.map(({ look, condition, name, seeds, run }, i) => {
    const text = [look.label, condition, `run ${name}, seed ${seeds.seed[run]}`].filter(Boolean).join(", ");
    return legendItem(chart, { name, colour: `light-dark(${look.light}, ${look.dark})`, dash: DASHES[i] }, text);
  });
  return make("ul", { className: "legend" }, ...items);
}

/** The run's sweep, with its group ticked and single runs drawn. */
async function showAmong(data, row) {
  const box = boxOf(data.sweep[row]);
  for (let outer = box; outer; outer = outer.parentElement) if (outer.tagName === "DETAILS") outer.open = true;
  const chart = await startChart(box);
  await needSeeds(chart);
  const group = chart.data.groups[chart.seeds.group[chart.seeds.place.get(data.run[row])]];
  if (!group) return;
  wanted(chart).forEach(({ chosen, column }) => { if (group[column] >= 0) chosen.add(group[column]); });
  if (chart.choice.show === "means") chart.choice.show = "both";
  if (isAgainst(chart)) Object.assign(chart.choice, { x: "step", logX: null, logY: null, zoom: null });
  fillControls(chart);
  draw(chart);
  box.scrollIntoView();
}

addEventListener("DOMContentLoaded", startPicked);

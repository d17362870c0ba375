"use strict";
// The curves of the picked runs, alone or among those of their sweep.

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
  const all = read.flatMap(({ curves }) => curves.metrics);
  const metrics = new Map(all.map(({ name, label, log }) => [name, { name, label, log }]));
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

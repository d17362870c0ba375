"use strict";
// Interactive curves of a sweep: controls, legend and state. Means and intervals come from Python;
// here they are only chosen, drawn and pointed at.

const KEYS = "Arrow keys go from point to point and line to line, Enter picks, plus and minus zoom, 0 shows all.";

const DOUBLE = 300; // milliseconds in which a second click makes it a double-click

async function startChart(box) {
  if (box.chart) return box.chart;
  const ready = (async () => newChart(box, await sweepData.curves(box.dataset.curves)))();
  box.chart = ready;
  return ready;
}

function newChart(box, data) {
  const { sweep } = box.dataset;
  const chart = Object.assign(emptyChart(data, sweep), {
    field: `c.${sweep}`,
    seeds: null,
    seedsId: box.dataset.seeds,
    chips: new Map(),
    controls: make("div", { className: "controls" }),
    gather,
    choose: choosePoint,
    tell: tellChart,
  });
  chart.choice = choiceOf(address.get(chart.field), data);
  chart.zoomed = () => { keepView(chart); tellZoom(chart); };
  box.append(chart.controls, chart.note, chart.holder, chart.readout, chart.legend, savers(chart));
  fillControls(chart);
  charts.push(chart);
  draw(chart);
  const restore = () => {
    const text = address.get(chart.field);
    if (text === choiceText(chart)) return;
    chart.choice = choiceOf(text, data);
    fillControls(chart);
    draw(chart);
  };
  address.onChange((whole) => { if (whole) restore(); });
  picked.onChange(() => draw(chart));
  return chart;
}

/** What every chart has: its elements, and nothing drawn yet. */
function emptyChart(data, sweep) {
  const chart = {
    data,
    sweep,
    plots: [],
    lines: [],
    crosses: [],
    panels: [0],
    lit: null,
    pointed: null,
    note: make("p", { className: "note", role: "status" }),
    holder: make("div", { className: "plot", tabIndex: 0, role: "application" }),
    tip: make("div", { className: "tip", hidden: true }),
    dot: make("div", { className: "dot", hidden: true }),
    readout: make("p", { className: "readout", "aria-live": "polite" }),
    legend: make("ul", { className: "legend" }),
  };
  chart.holder.setAttribute("aria-label", `Curves of ${sweep}. ${KEYS}`);
  chart.holder.onkeydown = (event) => steer(chart, event);
  chart.holder.onblur = () => unsteer(chart);
  chart.holder.onmousemove = ({ movementX, movementY }) => {
    if (movementX || movementY) chart.steering = false; // not where only the page moves below it
  };
  chart.holder.onclick = (event) => {
    const further = event.ctrlKey || event.metaKey || event.shiftKey;
    const found = pointedAt(chart, event);
    clearTimeout(chart.clicked);
    if (found && event.detail < 2) chart.clicked = setTimeout(() => chart.choose(chart, found, further), DOUBLE);
  };
  new ResizeObserver(() => resizePanels(chart)).observe(chart.holder);
  return chart;
}

/** Single runs are unpacked when they are first asked for. */
async function needSeeds(chart) {
  if (chart.seeds || !chart.seedsId) return;
  chart.seeds = await sweepData.seeds(chart.seedsId);
}

function wantsSeeds(chart) {
  return chart.choice.show !== "means" || picked.of(chart.sweep).length > 0;
}

function draw(chart) {
  if (wantsSeeds(chart) && !chart.seeds && chart.seedsId) {
    chart.note.textContent = "Unpacking single runs.";
    needSeeds(chart).then(() => { if (chart.seeds) draw(chart); });
  }
  chart.lit = chart.pointed = null;
  chart.steering = false;
  hideTip(chart);
  chart.gather(chart);
  drawPanels(chart);
  chart.tell(chart);
}

function tellChart(chart) {
  chart.note.replaceChildren(...remark(chart));
  chart.legend.replaceChildren(...legendOf(chart));
  markChips(chart);
  tellZoom(chart);
  keepView(chart);
}

function keepView(chart) {
  address.set(chart.field, choiceText(chart));
}

// ---- what is said ------------------------------------------------------------------------------

function remark(chart) {
  const { groups, lines, crosses, early, crowd } = chart;
  if (!groups.length) return mending(chart);
  const notes = [];
  const panels = chart.choice.panel ? new Set(groups.map((group) => panelOf(chart, group))).size : 1;
  if (groups.length > MAX_GROUPS_DRAWN) notes.push(`${MAX_GROUPS_DRAWN} of ${groups.length} chosen lines are drawn.`);
  if (panels > MAX_PANELS) notes.push(`${MAX_PANELS} of ${panels} panels are drawn.`);
  if (crowd) notes.push(`${crowd} further runs are not drawn.`);
  if (!lines.length) notes.push(isAgainst(chart) ? "No group has this result." : "No evaluation that all seeds have.");
  if (crosses.length) notes.push(`A red × is where a run diverged; ${isAgainst(chart) ? lostMean(chart) : measure(chart).after}.`);
  if (early && !isAgainst(chart)) notes.push(`${early} diverged before the first evaluation.`);
  return [notes.join(" ")];
}

function lostMean(chart) {
  return measure(chart).log ? "the mean has no value there" : "it counts in the mean as chance";
}

/** Which choice leaves nothing, and the click that mends it. */
function mending(chart) {
  const { text, label, mend } = emptiness(chart);
  const onclick = () => { mend(); fillControls(chart); draw(chart); };
  return [`${text} `, make("button", { type: "button", className: "mend", onclick }, label)];
}

function tellZoom(chart) {
  chart.seeAll.hidden = !chart.choice.zoom;
}

// ---- legend ------------------------------------------------------------------------------------

/** A line for each name; not where the arms alone are told, and the chips tell them already. */
function legendOf(chart) {
  const { data, choice, lines } = chart;
  if (!data.keys.length && choice.colour === "arm") return [];
  const named = new Map(lines.filter((line) => !line.picked && line.name).map((line) => [line.name, line]));
  return [...named.values()].map((line) => legendItem(chart, line));
}

/** A sample of the line with its name; pointing at it highlights the line. */
function legendItem(chart, line, text = line.name) {
  const space = "http://www.w3.org/2000/svg";
  const sample = document.createElementNS(space, "svg");
  const stroke = document.createElementNS(space, "line");
  const place = { x1: 0, x2: 34, y1: 5, y2: 5 };
  const settings = { ...place, style: `stroke: ${line.colour}`, "stroke-width": 2, "stroke-dasharray": line.dash.join(" ") };
  Object.entries(settings).forEach(([name, value]) => stroke.setAttribute(name, value));
  ["width", "height"].forEach((name, i) => sample.setAttribute(name, [34, 10][i]));
  sample.setAttribute("aria-hidden", "true");
  sample.append(stroke);
  return make("li", {
    onmouseenter: () => light(chart, { name: line.name }),
    onmouseleave: () => light(chart, null),
  }, sample, ` ${text}`);
}

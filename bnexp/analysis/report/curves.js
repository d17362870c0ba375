"use strict";
// Interactive curves of a sweep: controls, legend and state. Means and intervals come from Python;
// here they are only chosen, drawn and pointed at.

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
  chart.holder.setAttribute("aria-label", `Curves of ${sweep}. Arrow keys go from point to point and line to line, Enter picks, plus and minus zoom, 0 shows all.`);
  chart.holder.onkeydown = (event) => steer(chart, event);
  chart.holder.onblur = () => unsteer(chart);
  chart.holder.onmousemove = () => { chart.steering = false; };
  chart.holder.onclick = (event) => {
    const further = event.ctrlKey || event.metaKey || event.shiftKey;
    const found = pointedAt(chart, event);
    if (found) chart.choose(chart, found, further);
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
  if (crosses.length && isAgainst(chart)) notes.push(`A red × is where a run diverged${measure(chart).log ? " and the mean has no value" : "; it counts in the mean as chance"}.`);
  else if (crosses.length) notes.push(`A red × is where a run diverged; ${measure(chart).after}.`);
  if (early && !isAgainst(chart)) notes.push(`${early} diverged before the first evaluation.`);
  return [notes.join(" ")];
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

// ---- controls ----------------------------------------------------------------------------------

function fillControls(chart) {
  const { data, choice } = chart;
  const change = (name, changes = {}) => (value) => {
    spread(chart, name, value);
    Object.assign(choice, changes);
    refill(chart);
  };
  const facetNames = facets(data);
  const xs = [...Object.entries(data.axes), ...(data.results.length ? facetNames.slice(1) : []).map((name) => [name, name])];
  const named = (list) => list.map(({ label }, index) => [index, label]);
  const metric = X[choice.x]
    ? picker("metric", named(data.metrics), choice.metric, (value) => change("metric", { logY: null })(Number(value)))
    : picker("metric", named(data.results), choice.result, (value) => change("result", { logY: null })(Number(value)));
  chart.seeAll = make("button", { type: "button", hidden: true, onclick: () => setZoom(chart, null) }, "See all");
  const further = facetNames.length > 1 ? [
    picker("colour", facetNames.map((name) => [name, name]), choice.colour, change("colour")),
    picker("panels", [["", "one"], ...facetNames.map((name) => [name, `by ${name}`])], choice.panel, change("panel"))] : [];
  const shown = [["means", "means"], ["seeds", "single seeds"], ["both", "both"]];
  const line = make("div", { className: "line" },
    metric,
    picker("against", xs, choice.x, change("x", { logX: null, logY: null, zoom: null })),
    picker("show", shown, choice.show, change("show")),
    ...further,
    logBox(chart, "x"), logBox(chart, "y"), chart.seeAll,
    make("span", { className: "muted hint" }, "Drag to zoom, double-click to see all; a click names the runs."));
  chart.chips.clear();
  const arms = data.arms.map((arm) => [swatch(`light-dark(${arm.light}, ${arm.dark})`), ` ${arm.label}`]);
  const sets = chipKeys(data).map((key, index) =>
    chooser(chart, key.name, key.values.map((value) => [value || "(empty)"]), choice.values[index]));
  chart.controls.replaceChildren(line, chooser(chart, "arm", arms, choice.arms), ...sets);
}

/** After a choice that changes which controls there are; the one in use keeps the focus. */
function refill(chart) {
  const label = document.activeElement?.closest("label")?.dataset.name;
  fillControls(chart);
  draw(chart);
  if (label) chart.controls.querySelector(`[data-name="${label}"] :is(select, input)`)?.focus();
}

function picker(name, options, chosen, change) {
  const items = options.map(([value, text]) => make("option", { value, textContent: text, selected: String(value) === String(chosen) }));
  const select = make("select", { "aria-label": name, onchange: () => change(select.value) }, ...items);
  return make("label", { "data-name": name }, `${name} `, select);
}

function logBox(chart, axis) {
  const name = axis === "x" ? "logX" : "logY";
  const box = make("input", { type: "checkbox", checked: isLog(chart, axis) });
  box.disabled = axis === "x" && isAgainst(chart) && !(numbersOf(chart) && Math.min(...numbersOf(chart)) > 0);
  box.onchange = () => {
    chart.choice[name] = box.checked === suggestsLog(chart, axis) ? null : box.checked;
    if (axis === "x") chart.choice.zoom = null;
    draw(chart);
  };
  return make("label", { "data-name": name }, box, ` log ${axis}`);
}

function swatch(colour) {
  return make("span", { className: "swatch", style: `background: ${colour}` });
}

/** Checkboxes for the values of a key; `chosen` is kept up to date. */
function chooser(chart, name, labels, chosen) {
  const boxes = labels.map((_, index) => make("input", {
    type: "checkbox",
    checked: chosen.has(index),
    onchange: (event) => {
      if (event.target.checked) chosen.add(index);
      else chosen.delete(index);
      draw(chart);
    },
  }));
  const chips = labels.map((label, index) =>
    make("label", { className: "chip" }, boxes[index], " ", ...label));
  chart.chips.set(name, chips);
  const setAll = (on) => {
    boxes.forEach((box, index) => { box.checked = on; if (on) chosen.add(index); });
    if (!on) chosen.clear();
    draw(chart);
  };
  const buttons = labels.length < 3 ? [] : [
    make("button", { type: "button", onclick: () => setAll(true) }, "all"),
    make("button", { type: "button", onclick: () => setAll(false) }, "none")];
  return make("fieldset", {}, make("legend", {}, name), ...chips, ...buttons);
}

/** Values that have no run with the rest of what is ticked are dimmed, and say so. */
function markChips(chart) {
  const there = possible(chart);
  for (const [name, chips] of chart.chips) {
    chips.forEach((chip, index) => {
      const without = !there.get(name).has(index);
      chip.classList.toggle("without", without);
      chip.title = without ? "no run with these settings" : "";
      chip.querySelector("input").setAttribute("aria-description", chip.title);
    });
  }
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
  const settings = { x1: 0, x2: 34, y1: 5, y2: 5, style: `stroke: ${line.colour}`, "stroke-width": 2, "stroke-dasharray": line.dash.join(" ") };
  Object.entries(settings).forEach(([name, value]) => stroke.setAttribute(name, value));
  ["width", "height"].forEach((name, i) => sample.setAttribute(name, [34, 10][i]));
  sample.setAttribute("aria-hidden", "true");
  sample.append(stroke);
  return make("li", {
    onmouseenter: () => light(chart, { name: line.name }),
    onmouseleave: () => light(chart, null),
  }, sample, ` ${text}`);
}

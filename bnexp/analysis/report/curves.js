"use strict";
// Interactive curves of a sweep. Means and intervals come from Python; here they are only chosen,
// drawn and pointed at.

const MAX_LINES = 60;
const MAX_BANDS = 6;
const NEAR = 60; // pixels within which the pointer finds a line
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [14, 5], [8, 3, 2, 3, 2, 3], [1, 4]];

// ---- what is chosen ----------------------------------------------------------------------------

function startChart(box) {
  const data = readJson(box.dataset.curves);
  const parts = {
    note: make("p", { className: "note", role: "status" }),
    holder: make("div", { className: "plot" }),
    tip: make("div", { className: "tip", hidden: true }),
    dot: make("div", { className: "dot", hidden: true }),
    legend: make("ul", { className: "legend" }),
  };
  const choice = {
    metric: 0,
    x: "step",
    log: data.metrics[0].log,
    arms: new Set(data.arms.keys()),
    values: data.selection.map((chosen) => new Set(chosen)),
  };
  const chart = { data, choice, plot: null, lines: [], crosses: [], ...parts };
  box.append(controls(chart), parts.note, parts.holder, parts.legend);
  charts.push(chart);
  draw(chart);
  new ResizeObserver(() => resize(chart)).observe(parts.holder);
}

/** The groups that the reader chose, by their index. */
function chosenGroups({ data, choice }) {
  const wanted = [choice.arms, ...choice.values];
  return [...data.groups.keys()].filter((group) =>
    data.groups[group].every((value, key) => wanted[key].has(value)));
}

/** Lines and crosses to draw of the chosen groups, with how each looks. */
function gather(chart) {
  const { data, choice } = chart;
  const metric = data.metrics[choice.metric];
  const chosen = chosenGroups(chart);
  const drawn = new Set(chosen.slice(0, MAX_LINES));
  const conditions = [...new Set([...drawn].map((group) => data.conditions[group]))];
  const look = (group) => {
    const arm = data.arms[data.groups[group][0]];
    const condition = data.conditions[group];
    const dash = DASHES[conditions.indexOf(condition) % DASHES.length];
    return { group, arm: arm.label, colour: arm[theme()], condition, dash };
  };
  const at = Object.keys(data.axes).indexOf(choice.x);
  chart.lines = metric.curves.filter(([group]) => drawn.has(group))
    .map(([group, step, epoch, seconds, n, y, half]) =>
      ({ ...look(group), x: data.grids[[step, epoch, seconds][at]], y, half, n }));
  chart.crosses = metric.ends.filter(([group]) => drawn.has(group))
    .map(([group, ...end]) => ({ ...look(group), x: end[at], y: end[3] }));
  chart.after = metric.after;
  chart.early = metric.early.filter(([group]) => drawn.has(group))
    .reduce((sum, [, count]) => sum + count, 0);
  chart.note.textContent = remark(chart, chosen.length);
}

function remark({ lines, crosses, early, after }, chosen) {
  const notes = [];
  if (chosen > MAX_LINES) notes.push(`${MAX_LINES} of ${chosen} chosen lines are drawn.`);
  if (chosen === 0) notes.push("Nothing is chosen.");
  else if (lines.length === 0) notes.push("No evaluation that all seeds have.");
  if (crosses.length) notes.push(`A red × is where a run diverged; ${after}.`);
  if (early) notes.push(`${early} diverged before the first evaluation.`);
  return notes.join(" ");
}

// ---- controls ----------------------------------------------------------------------------------

function controls(chart) {
  const { data, choice } = chart;
  const log = make("input", { type: "checkbox", checked: choice.log });
  const metrics = data.metrics.map((metric, index) => [index, metric.label]);
  const pickMetric = (index) => {
    choice.metric = Number(index);
    choice.log = log.checked = data.metrics[choice.metric].log;
    log.disabled = !choice.log;
    draw(chart);
  };
  log.disabled = !choice.log;
  log.onchange = () => { choice.log = log.checked; draw(chart); };
  const line = make("div", { className: "line" },
    picker("metric", metrics, pickMetric),
    picker("against", Object.entries(data.axes), (axis) => { choice.x = axis; draw(chart); }),
    make("label", {}, log, " logarithmic"),
    make("span", { className: "muted" }, "Drag to zoom, double-click to see all."));
  const arms = data.arms.map((arm) =>
    [swatch(`light-dark(${arm.light}, ${arm.dark})`), ` ${arm.label}`]);
  const sets = data.keys.map((key, index) =>
    chooser(chart, key.name, key.values.map((value) => [value]), choice.values[index]));
  return make("div", { className: "controls" }, line, chooser(chart, "arm", arms, choice.arms), ...sets);
}

function picker(name, options, change) {
  const items = options.map(([value, text]) => make("option", { value, textContent: text }));
  const select = make("select", { onchange: () => change(select.value) }, ...items);
  return make("label", {}, `${name} `, select);
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

// ---- drawing -----------------------------------------------------------------------------------

function draw(chart) {
  gather(chart);
  if (chart.plot) chart.plot.destroy();
  chart.plot = null;
  hideTip(chart);
  chart.holder.replaceChildren();
  chart.legend.replaceChildren(...(chart.data.keys.length ? chart.lines.map((line) => legendItem(chart, line)) : []));
  if (chart.lines.length || chart.crosses.length) {
    chart.plot = new uPlot(options(chart), aligned(chart), chart.holder);
  }
  chart.holder.append(chart.dot, chart.tip);
}

function resize(chart) {
  const width = chart.holder.clientWidth;
  if (chart.plot && width && width !== chart.plot.width) {
    chart.plot.setSize({ width, height: chart.plot.height });
  }
}

/** One x column for all lines, as uPlot wants it; the last column spans the crosses' x values. */
function aligned({ lines, crosses }) {
  const ends = [...new Set(crosses.map((cross) => cross.x))].sort((a, b) => a - b);
  const tables = lines.map((line) => [line.x, line.y]);
  return uPlot.join([...tables, [ends, ends.map(() => null)]]);
}

function options(chart) {
  const { choice, data, holder } = chart;
  const { color, borderTopColor } = getComputedStyle(holder);
  const axis = (label) => ({
    label,
    labelSize: 22,
    stroke: color,
    font: "12px system-ui, sans-serif",
    labelFont: "13px system-ui, sans-serif",
    grid: { stroke: borderTopColor, width: 1 },
    ticks: { stroke: borderTopColor, width: 1 },
  });
  const series = chart.lines.map((line) => ({
    label: `${line.arm} ${line.condition}`,
    stroke: line.colour,
    width: chart.lines.length > 20 ? 1.25 : 2,
    dash: line.dash,
    spanGaps: true,
    points: { show: line.x.length === 1 },
  }));
  return {
    width: holder.clientWidth || 600,
    height: holder.clientWidth < 500 ? 280 : 380,
    legend: { show: false },
    focus: { alpha: 0.2 },
    cursor: { drag: { x: true, y: false }, points: { show: false } },
    scales: {
      x: { time: false, range: (plot, low, high) => xRange(plot, low, high) },
      y: { distr: choice.log ? 3 : 1, range: (plot, low, high) => yRange(chart, plot, low, high) },
    },
    axes: [{ ...axis(data.axes[choice.x]), size: 36 }, { ...axis(data.metrics[choice.metric].label), size: 64 }],
    series: [{}, ...series, { show: false }],
    hooks: {
      drawAxes: [(plot) => drawBands(chart, plot)],
      draw: [(plot) => drawCrosses(chart, plot)],
      setCursor: [(plot) => hover(chart, plot)],
    },
  };
}

/** From 0 on unless zoomed in. */
function xRange(plot, low, high) {
  const start = low === plot.data[0][0] ? 0 : low;
  return [start, high > start ? high : start + 1];
}

/** Around the lines; around the crosses too where they cannot be far away. */
function yRange({ choice, data, lines, crosses }, plot, low, high) {
  const { min, max } = plot.scales.x;
  const bounded = !data.metrics[choice.metric].log;
  const seen = crosses.filter((cross) => (bounded || !lines.length) && cross.x >= min && cross.x <= max);
  const values = [low, high, ...seen.map((cross) => cross.y)].filter(Number.isFinite);
  if (!values.length) return choice.log ? [0.1, 1] : [0, 1];
  const [bottom, top] = [Math.min(...values), Math.max(...values)];
  if (choice.log) return [Math.max(bottom, 1e-12) / 1.15, top * 1.15];
  const margin = 0.05 * (top - bottom) || 0.01;
  return [bottom - margin, top + margin];
}

/** Runs `paint` with the canvas limited to the plotting area. */
function clipped(plot, paint) {
  const { left, top, width, height } = plot.bbox;
  plot.ctx.save();
  plot.ctx.beginPath();
  plot.ctx.rect(left, top, width, height);
  plot.ctx.clip();
  paint(plot.ctx);
  plot.ctx.restore();
}

function drawBands({ lines, choice }, plot) {
  if (lines.length > MAX_BANDS) return;
  const y = (value) => plot.valToPos(choice.log ? Math.max(value, 1e-12) : value, "y", true);
  clipped(plot, (canvas) => lines.filter((line) => line.half).forEach((line) => {
    const points = [...line.x.keys()].filter((i) => line.y[i] !== null && line.half[i] !== null);
    const corner = (sign) => (i) =>
      canvas.lineTo(plot.valToPos(line.x[i], "x", true), y(line.y[i] + sign * line.half[i]));
    canvas.beginPath();
    points.forEach(corner(1));
    points.reverse().forEach(corner(-1));
    canvas.fillStyle = line.colour;
    canvas.globalAlpha = 0.16;
    canvas.fill();
  }));
}

/** Red crosses where runs diverged, held at the edge where that lies outside. */
function drawCrosses({ data, crosses, early }, plot) {
  const { left, top, width, height } = plot.bbox;
  const size = 5 * devicePixelRatio;
  const inside = (value, start, length) => Math.min(Math.max(value, start + size), start + length - size);
  const mark = (canvas, x, y) => {
    canvas.moveTo(x - size, y - size);
    canvas.lineTo(x + size, y + size);
    canvas.moveTo(x - size, y + size);
    canvas.lineTo(x + size, y - size);
  };
  clipped(plot, (canvas) => {
    canvas.strokeStyle = canvas.fillStyle = data.diverged[theme()];
    canvas.lineWidth = 2 * devicePixelRatio;
    canvas.setLineDash([]); // the last line's is still set
    canvas.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
    canvas.beginPath();
    crosses.forEach(({ x, y }) => mark(canvas,
      inside(plot.valToPos(x, "x", true), left, width),
      inside(plot.valToPos(y, "y", true), top, height)));
    if (early) {
      mark(canvas, left + 3 * size, top + height - 3 * size);
      canvas.fillText(String(early), left + 5.5 * size, top + height - 2.2 * size);
    }
    canvas.stroke();
  });
}

// ---- pointing ----------------------------------------------------------------------------------

/** The point of any line or cross next to the pointer. */
function nearest({ lines, crosses }, plot, left, top) {
  let best = { distance: NEAR };
  const consider = (line, index, xValue, yValue, cross) => {
    const x = plot.valToPos(xValue, "x");
    const y = plot.valToPos(yValue, "y");
    const distance = Math.hypot(x - left, y - top) - (cross ? 3 : 0);
    if (distance < best.distance) best = { distance, line, index, x, y, cross };
  };
  lines.forEach((line) => line.x.forEach((x, i) => consider(line, i, x, line.y[i], null)));
  crosses.forEach((cross) => consider(null, 0, cross.x, cross.y, cross));
  return best;
}

function hover(chart, plot) {
  const { left, top } = plot.cursor;
  const best = left >= 0 ? nearest(chart, plot, left, top) : {};
  highlight(chart, best.line);
  if (best.x === undefined) hideTip(chart);
  else showTip(chart, plot, best);
}

function highlight(chart, line) {
  const index = chart.lines.indexOf(line);
  chart.plot?.setSeries(index < 0 ? null : index + 1, { focus: true });
}

function hideTip({ tip, dot }) {
  tip.hidden = dot.hidden = true;
}

function showTip(chart, plot, { line, index, x, y, cross }) {
  const { tip, dot, data, choice, holder } = chart;
  const shown = line ?? cross;
  const position = `${data.axes[choice.x]} ${shortNumber(line ? line.x[index] : cross.x)}`;
  tip.replaceChildren(
    make("strong", {}, swatch(shown.colour), ` ${shown.arm}`),
    make("span", {}, shown.condition),
    make("span", {}, `${position}: ${line ? meanText(chart, line, index) : `diverged, last at ${valueText(chart, cross.y)}`}`));
  tip.hidden = dot.hidden = false;
  const [offsetX, offsetY] = [plot.over.offsetLeft + x, plot.over.offsetTop + y];
  const flip = offsetX > holder.clientWidth / 2;
  tip.style.left = `${Math.max(0, flip ? offsetX - tip.offsetWidth - 14 : offsetX + 14)}px`;
  tip.style.top = `${Math.max(0, offsetY - tip.offsetHeight - 8)}px`;
  dot.style.cssText = `left: ${offsetX}px; top: ${offsetY}px; border-color: ${shown.colour}`;
}

function meanText(chart, line, index) {
  const half = line.half?.[index];
  const interval = half === null || half === undefined ? "" : ` ± ${valueText(chart, half, 3)}`;
  return `${valueText(chart, line.y[index])}${interval}, n = ${line.n}`;
}

function valueText({ data, choice }, value, digits = 4) {
  return data.metrics[choice.metric].log ? value.toPrecision(digits) : value.toFixed(4);
}

function shortNumber(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 5 });
}

/** A sample of the line with its name; pointing at it highlights the line. */
function legendItem(chart, line) {
  const space = "http://www.w3.org/2000/svg";
  const sample = document.createElementNS(space, "svg");
  const stroke = document.createElementNS(space, "line");
  const settings = { x1: 0, x2: 34, y1: 5, y2: 5, stroke: line.colour, "stroke-width": 2, "stroke-dasharray": line.dash.join(" ") };
  Object.entries(settings).forEach(([name, value]) => stroke.setAttribute(name, value));
  ["width", "height"].forEach((name, i) => sample.setAttribute(name, [34, 10][i]));
  sample.append(stroke);
  return make("li", {
    onmouseenter: () => highlight(chart, line),
    onmouseleave: () => highlight(chart, null),
  }, sample, ` ${line.arm}, ${line.condition}`);
}

"use strict";
// Panels with axes (uPlot) and what is painted on them: bands, lines, points and crosses.

const MAX_BANDS = 6;
const FONT = "system-ui, sans-serif";

/** The colours to draw with; those of paper while the page is printed. */
function shade() {
  return printing ? "light" : theme();
}

let printing = false;

function drawPanels(chart) {
  chart.plots.forEach(({ plot }) => plot.destroy());
  chart.plots = [];
  chart.spans = { x: spanX(chart) };
  const there = chart.lines.length || chart.crosses.some(({ y }) => y !== null);
  const panels = there ? chart.panels : [];
  chart.holder.classList.toggle("many", panels.length > 1);
  chart.holder.replaceChildren(...panels.map((panel) => drawPanel(chart, panel)));
  chart.plots.forEach(({ plot, area }) => area.append(plot.root));
  resizePanels(chart);
  chart.holder.append(chart.dot, chart.tip);
}

function drawPanel(chart, panel) {
  const title = panelTitle(chart, panel);
  const area = make("div", { className: "area" });
  const own = { panel, title, area, lines: chart.lines.filter((line) => line.panel === panel) };
  own.crosses = chart.crosses.filter((cross) => cross.panel === panel);
  own.plot = new uPlot(plotOptions(chart, own), [chart.spans.x, [null, null]]);
  chart.plots.push(own);
  return make("div", { className: "panel" }, ...(title ? [make("p", { className: "panel-title" }, title)] : []), area);
}

function resizePanels(chart) {
  for (const { plot, area } of chart.plots) {
    const width = area.clientWidth;
    const height = chart.plots.length > 1 ? 230 : width < 500 ? 280 : 380;
    if (width && (width !== plot.width || height !== plot.height)) plot.setSize({ width, height });
  }
}

function repaint(chart) {
  chart.plots.forEach(({ plot }) => plot.redraw(false));
}

// ---- ranges ------------------------------------------------------------------------------------

/** From 0 on, or from the first point on a logarithmic axis. */
function spanX(chart) {
  const values = [...chart.lines.flatMap((line) => [line.x[0], line.x[line.x.length - 1]]), ...chart.crosses.map(({ x }) => x)]
    .filter((x) => Number.isFinite(x));
  const log = isLog(chart, "x");
  const known = log ? positive(chart, values) : values;
  let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : log ? [1, 10] : [0, 1];
  if (!isAgainst(chart)) return log ? [low, Math.max(high, low * 1.01)] : [Math.min(0, low), high > 0 ? high : 1];
  if (chart.ordinal) return [low - 0.5, high + 0.5];
  if (log && high === low) return [low / 3, high * 3];
  const margin = log ? (high / low) ** 0.05 : 0.05 * (high - low) || 0.5;
  return log ? [low / margin, high * margin] : [low - margin, high + margin];
}

/** Values that a logarithmic x can show: also those between a line's ends. */
function positive(chart, values) {
  const within = chart.lines.map((line) => line.x.find((x) => x > 0)).filter(Number.isFinite);
  return [...values, ...within].filter((x) => x > 0);
}

function rangeX(chart) {
  return chart.choice.zoom ?? chart.spans.x;
}

/** Around all that is seen in any panel; around crosses only where they cannot be far away. */
function rangeY(chart) {
  const log = isLog(chart, "y");
  const [low, high] = rangeX(chart);
  const bounded = !measure(chart).log;
  let [bottom, top] = [Infinity, -Infinity];
  const see = (y) => {
    if (y === null || !Number.isFinite(y) || (log && y <= 0)) return;
    bottom = Math.min(bottom, y);
    top = Math.max(top, y);
  };
  for (const { x, y } of chart.lines) y.forEach((value, i) => { if (x[i] >= low && x[i] <= high) see(value); });
  const seen = chart.crosses.filter(({ x }) => (bounded || !chart.lines.length) && x >= low && x <= high);
  seen.forEach((cross) => see(cross.y));
  if (bottom > top) return log ? [0.1, 1] : [0, 1];
  if (log) return [bottom / 1.15, top * 1.15];
  const margin = 0.05 * (top - bottom) || 0.01;
  return [bottom - margin, top + margin];
}

// ---- axes --------------------------------------------------------------------------------------

function plotOptions(chart, own) {
  const { color, borderTopColor } = getComputedStyle(chart.holder);
  const [ink, rule] = printing ? ["#444444", "#dddddd"] : [color, borderTopColor];
  const axis = (which, label, room) => ({
    label,
    labelSize: 20,
    stroke: ink,
    font: `12px ${FONT}`,
    labelFont: `13px ${FONT}`,
    grid: { stroke: rule, width: 1 },
    ticks: { stroke: rule, width: 1 },
    values: (_, splits) => splits.map((split) => tickText(chart, which, split)),
    ...ownTicks(chart, which, room),
  });
  const xLabel = chart.data.axes[chart.choice.x] ?? chart.choice.x;
  return {
    width: 300,
    height: 230,
    legend: { show: false },
    cursor: {
      drag: { x: true, y: false, setScale: false },
      points: { show: false },
      bind: { dblclick: () => () => setZoom(chart, null) },
    },
    scales: {
      x: { time: false, distr: isLog(chart, "x") ? 3 : 1, range: () => rangeX(chart) },
      y: { distr: isLog(chart, "y") ? 3 : 1, range: () => rangeY(chart) },
    },
    axes: [{ ...axis("x", xLabel, 70), size: 34 }, { ...axis("y", measure(chart).label, 38), size: 58 }],
    series: [{}, { show: false }],
    hooks: {
      draw: [(plot) => paint(chart, own, plot)],
      setCursor: [(plot) => hover(chart, own, plot)],
      setSelect: [(plot) => selectZoom(chart, plot)],
    },
  };
}

/** Where the ticks are on logarithmic axes, and on one of places in a row. */
function ownTicks(chart, which, room) {
  const keep = { filter: (_, splits) => splits };
  if (which === "x" && chart.ordinal && isAgainst(chart)) return { ...keep, splits: () => [...chart.ordinal.keys()] };
  const marks = which === "x" && isAgainst(chart) ? chart.marks : [];
  if (!isLog(chart, which) && !marks.length) return {};
  const length = (plot) => (which === "x" ? plot.bbox.width : plot.bbox.height) / devicePixelRatio;
  const splits = (plot, _, low, high) => {
    const seen = marks.filter((mark) => mark >= low && mark <= high);
    if (seen.length > 1) return apart(plot, seen);
    const most = Math.max(2, Math.floor(length(plot) / room));
    return isLog(chart, which) ? logTicks(low, high, most) : evenTicks(low, high, most);
  };
  return { ...keep, splits };
}

/** Those of the values on x whose names have room beside each other. */
function apart(plot, values) {
  let last = -Infinity;
  return values.filter((value) => {
    const place = plot.valToPos(value, "x");
    const fits = place - last > 40;
    if (fits) last = place;
    return fits;
  });
}

/** At most so many ticks: 1 to 9, 1-2-5 or 1-3 in each decade; decades; even steps within one. */
function logTicks(low, high, most) {
  const first = Math.floor(Math.log10(low));
  const decades = Math.ceil(Math.log10(high)) - first;
  const inside = (digits, every = 1) => Array.from({ length: decades + 1 }, (_, i) => i).filter((i) => i % every === 0)
    .flatMap((i) => digits.map((digit) => Number(`${digit}e${first + i}`))).filter((v) => v >= low && v <= high);
  for (const digits of [[1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 5], [1, 3], [1]]) {
    const found = inside(digits);
    if (found.length <= most && found.length > 1) return found;
  }
  if (decades > most) return inside([1], Math.ceil(decades / most));
  return evenTicks(low, high, most);
}

function evenTicks(low, high, most) {
  const size = 10 ** Math.floor(Math.log10((high - low) / most));
  const step = [1, 2, 5, 10].map((factor) => factor * size).find((one) => (high - low) / one <= most);
  const start = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step) - start + 1 }, (_, i) => Number(((start + i) * step).toPrecision(12)));
}

function tickText(chart, which, value) {
  if (which === "x" && chart.ordinal && isAgainst(chart)) {
    const name = chart.ordinal[value] ?? "";
    return name.length > 14 ? `${name.slice(0, 13)}…` : name;
  }
  const size = Math.abs(value);
  if (size && (size >= 1e6 || size < 1e-3)) return value.toExponential().replace("e+", "e");
  return Number(value.toPrecision(6)).toLocaleString("en", { maximumFractionDigits: 6 });
}

// ---- zoom --------------------------------------------------------------------------------------

function selectZoom(chart, plot) {
  const { left, width } = plot.select;
  if (width < 4) return;
  const ends = [left, left + width].map((at) => Number(plot.posToVal(at, "x").toPrecision(5)));
  plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  if (ends[0] < ends[1]) setZoom(chart, ends);
}

function setZoom(chart, zoom) {
  chart.choice.zoom = zoom;
  const [min, max] = rangeX(chart);
  chart.plots.forEach(({ plot }) => plot.setScale("x", { min, max }));
  chart.zoomed?.(zoom);
}

// ---- painting ----------------------------------------------------------------------------------

function paint(chart, own, plot) {
  const { left, top, width, height } = plot.bbox;
  const canvas = plot.ctx;
  canvas.save();
  canvas.beginPath();
  canvas.rect(left, top, width, height);
  canvas.clip();
  const lit = (line) => !chart.lit || (chart.lit.name === line.name && (chart.lit.run ?? line.run) === line.run);
  const banded = own.lines.filter((line) => line.half && lit(line));
  if (banded.length <= MAX_BANDS) banded.forEach((line) => paintBand(chart, plot, line));
  const last = (line) => Number(lit(line) && Boolean(chart.lit)) + Number(line.picked ?? false);
  [...own.lines].sort((a, b) => last(a) - last(b)).forEach((line) => paintLine(chart, plot, line, lit(line)));
  paintCrosses(chart, own, plot);
  canvas.restore();
}

/** Where a point is on the canvas. */
function placing(chart, plot) {
  const log = isLog(chart, "y");
  return (x, y) => [plot.valToPos(x, "x", true), plot.valToPos(log ? Math.max(y, 1e-300) : y, "y", true)];
}

/** The points of a line that can be drawn on the axes as they are. */
function drawable(chart, line) {
  const [logX, logY] = [isLog(chart, "x"), isLog(chart, "y")];
  return [...line.x.keys()].filter((i) =>
    line.y[i] !== null && !(logX && line.x[i] <= 0) && !(logY && line.y[i] <= 0));
}

function paintBand(chart, plot, line) {
  const canvas = plot.ctx;
  const place = placing(chart, plot);
  const known = drawable(chart, line).filter((i) => line.half[i] !== null);
  const y = (i, sign) => line.y[i] + sign * line.half[i];
  canvas.beginPath();
  if (line.kind === "points") {
    known.forEach((i) => {
      canvas.moveTo(...place(line.x[i], y(i, 1)));
      canvas.lineTo(...place(line.x[i], y(i, -1)));
    });
    canvas.strokeStyle = line.colour;
    canvas.lineWidth = 1.5 * devicePixelRatio;
    canvas.setLineDash([]);
    canvas.stroke();
    return;
  }
  known.forEach((i) => canvas.lineTo(...place(line.x[i], y(i, 1))));
  known.reverse().forEach((i) => canvas.lineTo(...place(line.x[i], y(i, -1))));
  canvas.fillStyle = line.colour;
  canvas.globalAlpha = 0.16;
  canvas.fill();
  canvas.globalAlpha = 1;
}

function paintLine(chart, plot, line, lit) {
  const canvas = plot.ctx;
  const place = placing(chart, plot);
  const raised = lit && chart.lit && line.kind === "run";
  const width = line.width + (raised ? 1 : 0);
  const known = drawable(chart, line);
  canvas.lineJoin = "round";
  if (line.picked) stroke(chart, plot, line, known, width + 4, [], paper());
  canvas.globalAlpha = raised ? 1 : lit ? line.alpha ?? 1 : 0.13;
  stroke(chart, plot, line, known, width, line.dash, line.colour);
  canvas.fillStyle = line.colour;
  const dots = line.kind === "points" || line.kind === "dot" || known.length === 1 ? known : [];
  canvas.beginPath();
  for (const i of dots) {
    const [x, y] = place(line.x[i], line.y[i]);
    const size = (line.kind === "dot" ? 2 : 3.5) * devicePixelRatio;
    canvas.moveTo(x + size, y);
    canvas.arc(x, y, size, 0, 2 * Math.PI);
  }
  canvas.fill();
  canvas.globalAlpha = 1;
}

function stroke(chart, plot, line, known, width, dash, colour) {
  const canvas = plot.ctx;
  const place = placing(chart, plot);
  canvas.strokeStyle = colour;
  canvas.lineWidth = width * devicePixelRatio;
  canvas.setLineDash(dash.map((length) => length * devicePixelRatio));
  canvas.beginPath();
  known.forEach((i) => canvas.lineTo(...place(line.x[i], line.y[i])));
  canvas.stroke();
  canvas.setLineDash([]);
}

/** What is drawn on: a picked line stands out from the others by a rim of it. */
function paper() {
  return printing ? "#ffffff" : getComputedStyle(document.body).backgroundColor;
}

/** Red crosses where runs diverged, held at the edge where that lies outside or is nowhere. */
function paintCrosses(chart, own, plot) {
  const { left, top, width, height } = plot.bbox;
  const canvas = plot.ctx;
  const place = placing(chart, plot);
  const size = 5 * devicePixelRatio;
  const inside = (value, start, length) => Math.min(Math.max(value, start + size), start + length - size);
  const mark = (x, y) => {
    canvas.moveTo(x - size, y - size);
    canvas.lineTo(x + size, y + size);
    canvas.moveTo(x - size, y + size);
    canvas.lineTo(x + size, y - size);
  };
  const [low, high] = rangeX(chart);
  canvas.strokeStyle = canvas.fillStyle = chart.data.diverged[shade()];
  canvas.lineWidth = 2 * devicePixelRatio;
  canvas.font = `${12 * devicePixelRatio}px ${FONT}`;
  canvas.beginPath();
  for (const cross of own.crosses) {
    if (cross.x < low || cross.x > high) continue;
    const [x, y] = place(cross.x, cross.y ?? 0);
    mark(inside(x, left, width), cross.y === null ? top + height - size : inside(y, top, height));
  }
  if (chart.early && own === chart.plots[0]) {
    mark(left + 3 * size, top + height - 3 * size);
    canvas.fillText(String(chart.early), left + 5.5 * size, top + height - 2.2 * size);
  }
  canvas.stroke();
}

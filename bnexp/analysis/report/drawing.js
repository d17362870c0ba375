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

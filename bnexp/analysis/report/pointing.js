"use strict";
// Pointing at curves, by mouse, touch or keyboard: what is there, and what a click does.

const NEAR = 60; // pixels within which the pointer finds a line

// ---- what is near ------------------------------------------------------------------------------

/** The point of any line or cross of a panel next to a place. */
function nearest(chart, { lines, crosses, plot }, left, top) {
  const [low, high] = rangeX(chart);
  let best = { distance: NEAR };
  const consider = (line, index, xValue, yValue, cross) => {
    const x = plot.valToPos(xValue, "x");
    const y = yValue === null ? plot.over.clientHeight : plot.valToPos(yValue, "y");
    const distance = Math.hypot(x - left, y - top) - (cross ? 3 : 0) - (line?.picked ? 2 : 0);
    if (distance < best.distance) best = { distance, line, index, x, y, cross };
  };
  const ends = [left - NEAR, left + NEAR].map((at) => plot.posToVal(at, "x"));
  for (const line of lines) {
    for (const i of drawable(chart, line)) {
      const x = line.x[i];
      if (x >= Math.max(low, ends[0]) && x <= Math.min(high, ends[1])) consider(line, i, x, line.y[i], null);
    }
  }
  crosses.forEach((cross) => consider(null, 0, cross.x, cross.y, cross));
  return best;
}

function hover(chart, own, plot) {
  const { left, top } = plot.cursor;
  if (!own.plot || chart.steering) return;
  const best = left >= 0 ? nearest(chart, own, left, top) : {};
  light(chart, best.line ?? null);
  chart.pointed = best.x === undefined ? null : { own, ...best };
  if (chart.pointed) showTip(chart, chart.pointed);
  else hideTip(chart);
}

/** The other lines step back. */
function light(chart, line) {
  if (chart.lit === line) return;
  chart.lit = line;
  repaint(chart);
}

// ---- words -------------------------------------------------------------------------------------

/** What a point is: arm, what tells its group, where it is and what it has. */
function describe(chart, { line, index, cross }) {
  const { data, choice, seeds } = chart;
  const group = line?.groups?.[index] ?? (line ?? cross).group;
  const run = line?.run;
  const arm = data.arms[data.groups[group][0]].label;
  const who = run === undefined ? "" : `run ${seeds.runs[run]}, seed ${seeds.seed[run]}`;
  const x = line ? line.x[index] : cross.x;
  const place = isAgainst(chart)
    ? `${choice.x} ${line?.kind === "level" ? "without" : chart.ordinal ? chart.ordinal[x] : shortNumber(x)}`
    : `${data.axes[choice.x]} ${shortNumber(x)}`;
  const value = line ? pointText(chart, line, index) : crossText(chart, cross);
  return { arm, who: [data.conditions[group], who].filter(Boolean), point: `${place}: ${value}` };
}

function crossText(chart, { y, count, n }) {
  if (count) return `${count} of ${n} diverged${y === null ? "" : `, mean ${valueText(chart, y)}`}`;
  return `diverged, last at ${valueText(chart, y)}`;
}

function pointText(chart, line, index) {
  const value = valueText(chart, line.y[index]);
  if (line.run !== undefined) return value;
  const half = line.half?.[index];
  const interval = half === null || half === undefined ? "" : ` ± ${valueText(chart, half, 3)}`;
  const lost = line.diverged?.[index] ? `, ${line.diverged[index]} diverged` : "";
  return `${value}${interval}, n = ${line.kind === "mean" ? line.n : line.n[index]}${lost}`;
}

function valueText(chart, value, digits = 4) {
  return measure(chart).log ? value.toPrecision(digits) : value.toFixed(4);
}

function shortNumber(value) {
  return value.toLocaleString("en", { maximumSignificantDigits: 5 });
}

// ---- the tip -----------------------------------------------------------------------------------

function hideTip({ tip, dot }) {
  tip.hidden = dot.hidden = true;
}

function showTip(chart, { own, line, cross, index, x, y }) {
  const { tip, dot, holder } = chart;
  const { arm, who, point } = describe(chart, { line, index, cross });
  const colour = (line ?? cross).colour;
  tip.replaceChildren(
    make("strong", {}, swatch(colour), ` ${arm}`),
    ...who.map((text) => make("span", {}, text)),
    make("span", {}, point));
  tip.hidden = dot.hidden = false;
  const [outer, inner] = [holder.getBoundingClientRect(), own.plot.over.getBoundingClientRect()];
  const [offsetX, offsetY] = [inner.left - outer.left + x, inner.top - outer.top + y];
  const flip = offsetX > holder.clientWidth / 2;
  const left = flip ? offsetX - tip.offsetWidth - 14 : offsetX + 14;
  tip.style.left = `${Math.max(0, Math.min(left, holder.clientWidth - tip.offsetWidth))}px`;
  tip.style.top = `${Math.max(0, offsetY - tip.offsetHeight - 8)}px`;
  dot.style.cssText = `left: ${offsetX}px; top: ${offsetY}px; border-color: ${colour}`;
}

// ---- clicks ------------------------------------------------------------------------------------

/** What is under the pointer, if it is over a panel. */
function pointedAt(chart, { target, clientX, clientY }) {
  const own = chart.plots.find(({ plot }) => plot.over.contains(target));
  if (!own) return null;
  const { left, top } = own.plot.over.getBoundingClientRect();
  const best = nearest(chart, own, clientX - left, clientY - top);
  return best.x === undefined ? null : { own, ...best };
}

/** A run is picked; of a mean the group's runs are named. */
async function choosePoint(chart, found, further) {
  if (!found) return;
  const { line, cross, index } = found;
  if (line?.run !== undefined) {
    chart.readout.replaceChildren();
    pickFrom(chart, line.run, further);
    return;
  }
  const group = line?.groups?.[index] ?? (line ?? cross).group;
  const { arm, who, point } = describe(chart, found);
  chart.readout.replaceChildren(make("strong", {}, arm), ` ${[...who, point].join(" · ")} `);
  await needSeeds(chart);
  const runs = chart.seeds?.of.get(group) ?? [];
  chart.readout.append("Runs: ", ...runs.slice(0, 40).flatMap((run) => [runLink(chart, run), " "]),
    runs.length > 40 ? `and ${runs.length - 40} more` : "");
}

/** Picks a run, or gives it back, and says where it is shown. */
async function pickFrom(chart, run, further) {
  const name = chart.seeds.runs[run];
  await picked.toggle(chart.sweep, name, further);
  chart.readout.querySelector(".where")?.remove();
  if (!picked.of(chart.sweep).includes(name)) return;
  const link = make("a", { href: "#picked" }, "its settings and results");
  chart.readout.append(make("span", { className: "where" }, `Run ${name} is picked: `, link, "."));
}

function runLink(chart, run) {
  const { seeds } = chart;
  const ended = seeds.statuses[seeds.status[run]];
  return make("button", {
    type: "button",
    title: `run ${seeds.runs[run]}, ${ended}`,
    onclick: (event) => pickFrom(chart, run, event.ctrlKey || event.metaKey || event.shiftKey),
  }, `seed ${seeds.seed[run]}`);
}

// ---- keyboard ----------------------------------------------------------------------------------

const MOVES = { // to the line above or below, and along the line
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  ArrowUp: [1, 0],
  ArrowDown: [-1, 0],
  Home: [0, -Infinity],
  End: [0, Infinity],
};

/** Arrow keys go along a line and from line to line; what is there is said. */
function steer(chart, event) {
  if (event.target !== chart.holder) return;
  if (event.key === "Escape") unsteer(chart);
  else if (event.key === "Enter" || event.key === " ") chart.choose(chart, chart.pointed, event.shiftKey);
  else if (event.key === "+" || event.key === "-") zoomAround(chart, event.key === "+" ? 0.5 : 2);
  else if (event.key === "0") setZoom(chart, null);
  else if (MOVES[event.key]) move(chart, ...MOVES[event.key]);
  else return;
  event.preventDefault();
}

function unsteer(chart) {
  chart.steering = false;
  chart.pointed = null;
  light(chart, null);
  hideTip(chart);
}

function move(chart, up, along) {
  const stops = chart.plots.flatMap((own) => own.lines.map((line) => ({ own, line, points: seenPoints(chart, line) })))
    .filter(({ points }) => points.length);
  if (!stops.length) return;
  const now = stops.findIndex(({ line }) => line === chart.pointed?.line);
  if (now < 0) stand(chart, stops[0], stops[0].points.length - 1);
  else if (up) stepAcross(chart, stops, stops[now], up);
  else {
    const { points } = stops[now];
    const place = Math.max(0, points.indexOf(chart.pointed.index));
    stand(chart, stops[now], Math.min(points.length - 1, Math.max(0, place + along)));
  }
}

function seenPoints(chart, line) {
  const [low, high] = rangeX(chart);
  return drawable(chart, line).filter((i) => line.x[i] >= low && line.x[i] <= high);
}

/** To the line above or below here; from the last one of a panel to the next panel. */
function stepAcross(chart, stops, from, up) {
  const x = from.line.x[chart.pointed.index];
  const here = stops.map((stop) => ({ ...stop, place: closest(stop, x) }))
    .map((stop) => ({ ...stop, y: stop.line.y[stop.points[stop.place]] }));
  const panel = (stop) => chart.plots.indexOf(stop.own);
  here.sort((a, b) => panel(b) - panel(a) || a.y - b.y);
  const now = here.findIndex(({ line }) => line === from.line);
  const next = here[(now + up + here.length) % here.length];
  stand(chart, next, next.place);
}

function closest({ line, points }, x) {
  return points.reduce((best, i, place) => (Math.abs(line.x[i] - x) < Math.abs(line.x[points[best]] - x) ? place : best), 0);
}

function stand(chart, { own, line, points }, place) {
  const index = points[place];
  const [x, y] = [own.plot.valToPos(line.x[index], "x"), own.plot.valToPos(line.y[index], "y")];
  chart.steering = true;
  chart.pointed = { own, line, index, x, y, cross: null };
  light(chart, line);
  showTip(chart, chart.pointed);
  const { arm, who, point } = describe(chart, chart.pointed);
  chart.readout.textContent = [own.title, arm, ...who, point].filter(Boolean).join(" · ");
}

/** Half or twice the width of what is seen, around the point or the middle. */
function zoomAround(chart, factor) {
  const log = isLog(chart, "x");
  const [to, from] = log ? [Math.log, Math.exp] : [Number, Number];
  const [low, high] = rangeX(chart).map(to);
  const [least, most] = chart.spans.x.map(to);
  const centre = chart.pointed?.line ? to(chart.pointed.line.x[chart.pointed.index]) : (low + high) / 2;
  const ends = [Math.max(least, centre - (centre - low) * factor), Math.min(most, centre + (high - centre) * factor)];
  const whole = ends[0] <= least && ends[1] >= most;
  setZoom(chart, whole ? null : ends.map((end) => Number(from(end).toPrecision(5))));
}

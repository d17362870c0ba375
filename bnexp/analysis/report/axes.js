"use strict";
// What a chart spans, and its ticks.

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
  for (const { x, y, half, kind } of chart.lines) {
    y.forEach((value, i) => {
      if (x[i] < low || x[i] > high) return;
      see(value);
      if (kind === "points" && half[i] !== null) [value - half[i], value + half[i]].forEach(see);
    });
  }
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

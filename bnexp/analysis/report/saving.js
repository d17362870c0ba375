"use strict";
// What is drawn, to take away: its numbers as CSV, its picture as PNG; and a still one for print.

const PICTURE_FONT = 13;

function savers(chart) {
  const button = (text, onclick) => make("button", { type: "button", onclick }, text);
  return make("p", { className: "savers screen" },
    "Download what is drawn: ",
    button("CSV", () => save(chart, "csv", new Blob([csvOf(chart)], { type: "text/csv" }))),
    " ",
    button("PNG", () => pictureOf(chart).toBlob((blob) => save(chart, "png", blob))));
}

function save(chart, ending, blob) {
  const name = [chart.sweep, measure(chart).name].join("_").replace(/[^\w.-]+/g, "_");
  const link = make("a", { href: URL.createObjectURL(blob), download: `${name}.${ending}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ---- numbers -----------------------------------------------------------------------------------

/** A row for each point in view: arm, settings, x, value, half its interval, n, run and seed. */
function csvOf(chart) {
  const { data, choice } = chart;
  const keys = data.keys.filter((key) => key.name !== choice.x);
  const head = ["arm", ...keys.map((key) => key.name), choice.x, measure(chart).name, "half_interval", "n", "run", "seed"];
  const drawnTwice = (line) => line.picked && chart.lines.some((other) => other !== line && other.run === line.run);
  const lines = chart.lines.filter((line) => !drawnTwice(line));
  const rows = lines.flatMap((line) => seenPoints(chart, line).map((i) => csvRow(chart, keys, line, i)));
  return [head, ...rows].map((row) => row.map(csvCell).join(",")).join("\n") + "\n";
}

function csvRow(chart, keys, line, i) {
  const { data, seeds } = chart;
  const group = data.groups[line.groups?.[i] ?? line.group];
  const run = line.run === undefined ? ["", ""] : [seeds.runs[line.run], seeds.seed[line.run]];
  const x = chart.ordinal && isAgainst(chart) ? chart.ordinal[line.x[i]] : line.x[i];
  const settings = keys.map((key) => key.values[group[columnOf(data, key.name)]] ?? "");
  return [
    data.arms[group[0]].label, ...settings, line.kind === "level" ? "" : x, line.y[i], line.half?.[i] ?? "",
    line.run !== undefined ? 1 : Array.isArray(line.n) ? line.n[i] : line.n, ...run,
  ];
}

function csvCell(value) {
  const text = String(value ?? "");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// ---- picture -----------------------------------------------------------------------------------

/** All panels with their titles and the legend on one canvas, as they stand on the page. */
function pictureOf(chart) {
  const scale = devicePixelRatio;
  const outer = chart.holder.getBoundingClientRect();
  const entries = pictureLegend(chart);
  const canvas = make("canvas", { width: outer.width * scale, height: (outer.height + entries.length * 20 + 10) * scale });
  const ink = canvas.getContext("2d");
  const style = getComputedStyle(document.body);
  ink.scale(scale, scale);
  ink.fillStyle = paper();
  ink.fillRect(0, 0, outer.width, canvas.height);
  for (const { plot, title } of chart.plots) {
    const box = plot.root.getBoundingClientRect();
    const [left, top] = [Math.round(box.left - outer.left), Math.round(box.top - outer.top)];
    ink.drawImage(plot.ctx.canvas, left, top, plot.width, plot.height);
    write(ink, title, left + 4, top - 6, style.color);
  }
  entries.forEach(({ name, colour, dash }, i) => {
    const y = outer.height + 14 + 20 * i;
    ink.strokeStyle = colour;
    ink.lineWidth = 2;
    ink.setLineDash(dash);
    ink.beginPath();
    ink.moveTo(8, y);
    ink.lineTo(42, y);
    ink.stroke();
    write(ink, name, 52, y + 4, style.color);
  });
  return canvas;
}

function write(ink, text, x, y, colour) {
  ink.fillStyle = printing ? "#1b1e23" : colour;
  ink.font = `${PICTURE_FONT}px ${FONT}`;
  ink.fillText(text, x, y);
}

function pictureLegend({ lines }) {
  return [...new Map(lines.filter((line) => line.name).map((line) => [line.name, line])).values()].slice(0, 30);
}

// ---- print -------------------------------------------------------------------------------------

/** Each chart that was opened is printed as a still picture on white. */
function printCharts() {
  printing = true;
  for (const chart of charts.filter(({ plots }) => plots.length)) {
    drawNow(chart);
    const alt = `Curves of ${chart.sweep}: ${measure(chart).label}`;
    chart.holder.after(make("img", { className: "printed-picture", alt, src: pictureOf(chart).toDataURL() }));
  }
  printing = false;
}

/** uPlot draws a moment later unless it is told to do so at once. */
function drawNow(chart) {
  draw(chart);
  chart.plots.forEach(({ plot }) => plot.batch(() => {}));
}

addEventListener("beforeprint", printCharts);
addEventListener("afterprint", () => {
  document.querySelectorAll(".printed-picture").forEach((picture) => picture.remove());
  charts.forEach(draw);
});

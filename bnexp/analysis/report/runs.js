"use strict";
// The table of all runs, to sort, filter, keep and print.

const MAX_PRINTED = 300;

function startRuns(box) {
  const data = readJson("runs-data");
  const count = make("output", {});
  const save = make("button", { type: "button" }, "Download CSV");
  const holder = make("div", {});
  box.append(make("div", { className: "line screen" }, count, save), holder);
  const table = new Tabulator(holder, {
    data: data.rows.map((row, i) => ({ ...row, url: data.urls[i] })),
    columns: [...data.columns.map(column), { title: "folder", field: "url", visible: false, download: true }],
    layout: "fitDataFill",
    maxHeight: "38rem",
    placeholder: "No run matches.",
  });
  const tell = (rows) => { count.textContent = `${rows} of ${data.rows.length} runs`; };
  tell(data.rows.length);
  table.on("dataFiltered", (_, rows) => tell(rows.length));
  save.onclick = () => table.download("csv", "runs.csv");
  addEventListener("beforeprint", () => printRuns(box, data, table));
}

/** A column's definition: nodes of text only, since Tabulator takes text for HTML. */
function column({ title, kind, decimals, choices }, index) {
  const numeric = kind === "number";
  return {
    title,
    field: String(index),
    titleFormatter: () => make("button", { type: "button", className: "sort" }, title),
    formatter: (cell) => cellNode(cell, index, decimals),
    sorter: numeric ? "number" : "string",
    sorterParams: { alignEmptyValues: "bottom" },
    hozAlign: numeric ? "right" : "left",
    headerHozAlign: "left",
    minWidth: numeric ? 84 : 96,
    maxInitialWidth: 360,
    headerFilter: (cell, rendered, success) => filterBox(title, numeric, choices, success),
    headerFilterFunc: numeric ? numberMatches : kind === "choice" ? "=" : "like",
    headerFilterLiveFilter: false,
  };
}

function cellNode(cell, index, decimals) {
  const text = cellText(cell.getValue(), decimals);
  return index === 0 ? make("a", { href: cell.getData().url }, text) : document.createTextNode(text);
}

function cellText(value, decimals) {
  if (value === null) return "";
  return typeof decimals === "number" ? value.toFixed(decimals) : String(value);
}

function filterBox(title, numeric, choices, success) {
  const label = { "aria-label": `Filter by ${title}` };
  if (choices) {
    const options = ["", ...choices].map((value) => make("option", { value, textContent: value || "any" }));
    return make("select", { ...label, onchange: (event) => success(event.target.value) }, ...options);
  }
  const placeholder = numeric ? "≥, or < 0.9" : "contains";
  const pass = (event) => success(event.target.value);
  return make("input", { type: "search", placeholder, ...label, oninput: pass });
}

/** Whether a number fits "0.9" (at least), ">0.9", "<= 3" or "= 1"; half a term fits all. */
function numberMatches(term, value) {
  const [, sign, number] = /^\s*(>=|<=|>|<|=|)\s*(\S*)\s*$/.exec(term) ?? [];
  const limit = Number(number);
  if (!number || Number.isNaN(limit)) return true;
  if (value === null) return false;
  return {
    "": value >= limit, ">=": value >= limit, "<=": value <= limit,
    ">": value > limit, "<": value < limit, "=": value === limit,
  }[sign];
}

/** A plain table of the runs shown, since the interactive one holds only those in view. */
function printRuns(box, { columns }, table) {
  box.querySelector(".printed")?.remove();
  const rows = table.getData("active");
  const cells = (row) => columns.map(({ decimals }, i) => make("td", {}, cellText(row[i], decimals)));
  const body = rows.slice(0, MAX_PRINTED).map((row) => make("tr", {}, ...cells(row)));
  const head = columns.map(({ title }) => make("th", { scope: "col" }, title));
  const caption = `${body.length} of ${rows.length} runs`;
  box.append(make("table", { className: "printed" }, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)));
}

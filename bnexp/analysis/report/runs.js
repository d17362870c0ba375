"use strict";
// The table of all runs, to sort, filter, keep and print.

const MAX_PRINTED = 100;

function startRuns(box) {
  const data = readJson("runs-data");
  const count = make("output", {});
  const save = make("button", { type: "button" }, "Download CSV");
  const hint = make("span", { className: "muted" }, "Numbers are filtered by a minimum, such as 0.9, or by <0.9, >0.9, =0.9.");
  const holder = make("div", {});
  box.append(make("div", { className: "line screen" }, count, save, hint), holder);
  const table = new Tabulator(holder, {
    data: data.rows.map((row, i) => ({ ...row, url: data.urls[i] })),
    columns: [...data.columns.map(column), { title: "folder", field: "url", visible: false, download: true }],
    layout: "fitDataFill",
    maxHeight: "38rem",
    placeholder: "No run matches.",
  });
  const tell = (rows) => {
    count.textContent = `${rows.toLocaleString("en")} of ${data.rows.length.toLocaleString("en")} runs`;
  };
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
    headerWordWrap: true,
    ...(typeof decimals === "number" ? { width: decimals ? 118 : 84 } : { minWidth: 96, maxInitialWidth: 360 }),
    headerFilterPlaceholder: numeric ? "≥" : "contains",
    headerFilter: (cell, rendered, success) => filterBox(title, choices, success),
    headerFilterFunc: numeric ? numberMatches : kind === "choice" ? "=" : "like",
    headerFilterLiveFilter: false,
  };
}

function cellNode(cell, index, decimals) {
  const text = cellText(cell.getValue(), decimals);
  const url = index === 0 && cell.getData().url; // a packed run has no folder
  return url ? make("a", { href: url }, text) : document.createTextNode(text);
}

function cellText(value, decimals) {
  if (value === null) return "";
  return typeof decimals === "number" ? value.toFixed(decimals) : String(value);
}

function filterBox(title, choices, success) {
  const label = { "aria-label": `Filter by ${title}` };
  if (choices) {
    const options = ["", ...choices].map((value) => make("option", { value, textContent: value || "any" }));
    return make("select", { ...label, onchange: (event) => success(event.target.value) }, ...options);
  }
  const pass = (event) => success(event.target.value);
  return make("input", { type: "search", ...label, oninput: pass });
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
  const shown = table.getData("active");
  const rows = shown.slice(0, MAX_PRINTED);
  const filled = [...columns.keys()].filter((i) => rows.some((row) => cellText(row[i]) !== ""));
  const cells = (row) => filled.map((i) => make("td", {}, cellText(row[i], columns[i].decimals)));
  const head = filled.map((i) => make("th", { scope: "col" }, columns[i].title));
  const body = rows.map((row) => make("tr", {}, ...cells(row)));
  box.append(make("table", { className: "printed" },
    make("caption", {}, `${rows.length} of ${shown.length} runs`),
    make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)));
}

"use strict";
// The table of all runs, to sort, filter, keep and print; a click picks a run.

const MAX_PRINTED = 100;

async function startRuns(box) {
  const data = await allRuns();
  const count = make("output", {});
  const save = make("button", { type: "button" }, "Download CSV");
  const hint = make("span", { className: "muted" },
    "A click on a row shows its curve below the table. Numbers are filtered by a minimum, such as 0.9, or by <0.9, >0.9, =0.9.");
  const holder = make("div", {});
  box.append(make("div", { className: "line screen" }, count, save, hint), holder);
  const view = tableView(data);
  const table = new Tabulator(holder, {
    data: rowsOf(data),
    columns: [pickColumn(data), ...data.columns.map((one, i) => column(data, one, i)), folderColumn(data)],
    initialSort: view.sort,
    initialHeaderFilter: Object.entries(view.filters).map(([field, value]) => ({ field, value })),
    rowFormatter: (row) => row.getElement().classList.toggle("is-picked", picked.rows().includes(row.getData().row)),
    layout: "fitDataFill",
    maxHeight: "38rem",
    placeholder: "No run matches.",
  });
  const tell = (rows) => {
    count.textContent = `${rows.toLocaleString("en")} of ${data.run.length.toLocaleString("en")} runs`;
  };
  tell(data.run.length);
  table.on("dataFiltered", (_, rows) => { tell(rows.length); keepTable(data, table); });
  table.on("dataSorted", () => keepTable(data, table));
  table.on("rowClick", (event, row) => clickRow(data, event, row));
  await new Promise((built) => { table.on("tableBuilt", built); });
  markRows(holder);
  picked.onChange(() => markPicked(table));
  address.onChange((whole) => { if (whole) restoreTable(data, table); });
  save.onclick = () => table.download("csv", "runs.csv");
  addEventListener("beforeprint", () => printRuns(box, data, table));
}

/** Tells a screen reader that what scrolls is the group of rows, which Tabulator says of its content. */
function markRows(grid) {
  grid.removeAttribute("aria-owns");
  grid.querySelector(".tabulator-tableholder").setAttribute("role", "rowgroup");
  grid.querySelector(".tabulator-table").setAttribute("role", "presentation");
}

function rowsOf(data) {
  const columns = data.columns.map(cellsOf);
  return data.run.map((_, row) => ({ row, url: data.urls[row], ...columns.map((cells) => cells[row]) }));
}

// ---- picking -----------------------------------------------------------------------------------

function clickRow(data, event, row) {
  if (event.target.closest("a, input, button")) return;
  pick(data, row.getData().row, event.ctrlKey || event.metaKey || event.shiftKey);
}

async function pick(data, row, further) {
  await picked.toggle(data.sweep[row], data.run[row], further);
  if (picked.rows().includes(row)) showPicked();
}

/** A box for each row, by which up to two runs are picked. */
function pickColumn(data) {
  return {
    field: "row",
    download: false,
    headerSort: false,
    width: 40,
    hozAlign: "center",
    titleFormatter: () => make("span", { className: "unseen" }, "picked"),
    formatter: (cell) => {
      const row = cell.getValue();
      return make("input", {
        type: "checkbox",
        checked: picked.rows().includes(row),
        "aria-label": `Pick run ${data.ids[row]}`,
        onchange: () => pick(data, row, true),
      });
    },
  };
}

function folderColumn(data) {
  return {
    title: "folder",
    field: "url",
    visible: data.urls.some(Boolean),
    download: true,
    headerSort: false,
    formatter: (cell) => (cell.getValue() ? make("a", { href: cell.getValue() }, "open") : document.createTextNode("")),
  };
}

function markPicked(table) {
  table.getRows("visible").forEach((row) => row.reformat());
}

// ---- the view in the address -------------------------------------------------------------------

/** Filters by field, and the order, that the address says. */
function tableView(data) {
  const titles = data.columns.map(({ title }) => title);
  const [filters, sort] = [{}, []];
  for (const [name, text] of viewText.split(address.get("t"))) {
    const [, kind, title] = /^([fs])\.(.*)$/s.exec(name) ?? [];
    const field = titles.indexOf(title);
    if (field < 0) continue;
    if (kind === "f") filters[field] = viewText.unescape(text);
    else sort.push({ column: String(field), dir: text === "desc" ? "desc" : "asc" });
  }
  return { filters, sort };
}

function keepTable(data, table) {
  if (!table.initialized) return;
  const title = (field) => data.columns[Number(field)].title;
  const filters = table.getHeaderFilters().map(({ field, value }) => [`f.${title(field)}`, viewText.escape(String(value))]);
  const sort = table.getSorters().map(({ field, dir }) => [`s.${title(field)}`, dir]);
  address.set("t", viewText.join(Object.fromEntries([...filters, ...sort])));
}

function restoreTable(data, table) {
  const { filters, sort } = tableView(data);
  data.columns.forEach((_, i) => {
    const now = table.getHeaderFilterValue(String(i)) ?? "";
    if (String(now) !== (filters[i] ?? "")) table.setHeaderFilterValue(String(i), filters[i] ?? "");
  });
  if (sort.length) table.setSort(sort);
  else table.clearSort();
}

// ---- columns -----------------------------------------------------------------------------------

/** A column's definition: nodes of text only, since Tabulator takes text for HTML. */
function column(data, { title, kind, decimals, choices }, index) {
  const numeric = kind === "number";
  return {
    title,
    field: String(index),
    titleFormatter: () => make("button", { type: "button", className: "sort" }, title),
    formatter: (cell) => cellNode(data, cell, index, decimals),
    sorter: numeric ? "number" : "string",
    sorterParams: { alignEmptyValues: "bottom" },
    hozAlign: numeric ? "right" : "left",
    headerHozAlign: "left",
    headerWordWrap: true,
    ...(typeof decimals === "number" ? { width: decimals ? 118 : 84 } : { minWidth: 96, maxInitialWidth: 360 }),
    headerFilterPlaceholder: numeric ? "≥" : "contains",
    headerFilter: (cell, rendered, success) => filterBox({ title, choices, numeric }, success, cell.getValue() ?? ""),
    headerFilterFunc: numeric ? numberMatches : kind === "choice" ? "=" : "like",
    headerFilterLiveFilter: false,
  };
}

function cellNode(data, cell, index, decimals) {
  const text = cellText(cell.getValue(), decimals);
  const href = index === 0 && `#run-${encodeURIComponent(data.ids[cell.getData().row])}`;
  return href ? make("a", { href }, text) : document.createTextNode(text);
}

function cellText(value, decimals) {
  if (value === null) return "";
  return typeof decimals === "number" ? value.toFixed(decimals) : String(value);
}

function filterBox({ title, choices, numeric }, success, value) {
  const label = { "aria-label": `Filter by ${title}` };
  if (choices) {
    const options = ["", ...choices].map((one) => make("option", { value: one, textContent: one || "any", selected: one === value }));
    return make("select", { ...label, onchange: (event) => success(event.target.value) }, ...options);
  }
  const box = make("input", { type: "search", ...label, value });
  const mark = () => markTerm(box, numeric && numberTerm(box.value).isWrong);
  box.oninput = () => { mark(); success(box.value); };
  mark();
  return box;
}

/** Says of a filter that it is no number, and so hides no row. */
function markTerm(box, isWrong) {
  box.setAttribute("aria-invalid", isWrong);
  box.title = isWrong ? "Not a number, so nothing is filtered: write 0.9, <0.9, >0.9 or =0.9" : "";
}

/** "0.9" (at least), ">0.9", "<= 3" or "= 1"; `limit` is null where there is none (yet). */
function numberTerm(term) {
  const [, sign, number] = /^\s*(>=|<=|>|<|=|)\s*(.*?)\s*$/.exec(term);
  const isWrong = Number.isNaN(Number(number));
  return { sign, limit: number && !isWrong ? Number(number) : null, isWrong };
}

/** Whether a number fits a term; half a term fits all. */
function numberMatches(term, value) {
  const { sign, limit } = numberTerm(term);
  if (limit === null) return true;
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
    make("caption", {}, printedCaption(rows.length, shown.length)),
    make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)));
}

function printedCaption(printed, shown) {
  const [some, all] = [printed, shown].map((count) => count.toLocaleString("en"));
  return printed < shown ? `The first ${some} of ${all} runs; the page itself has all` : `${all} runs`;
}

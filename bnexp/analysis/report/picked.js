"use strict";
// One or two runs that the reader picked, in the table, in a chart or by "#run-ID": their curves,
// settings and results, side by side.

// ---- all runs ----------------------------------------------------------------------------------

const allRuns = (() => {
  let ready = null;

  function prepare(data) {
    const [run, sweep] = data.columns.map((column) => cellsOf(column));
    const count = new Map();
    run.forEach((name) => count.set(name, (count.get(name) ?? 0) + 1));
    const ids = run.map((name, row) => (count.get(name) === 1 ? name : `${sweep[row]}/${name}`));
    const place = new Map();
    run.forEach((name, row) => { if (!place.has(name)) place.set(name, row); });
    run.forEach((name, row) => place.set(`${sweep[row]}/${name}`, row));
    return { ...data, run, sweep, ids, place };
  }

  return () => (ready ??= Promise.resolve(readJson("runs-data")).then(prepare));
})();

/** A value for each run. */
function cellsOf({ values, names, index }) {
  return values ?? index.map((place) => names[place] ?? "");
}

function cellOf({ values, names, index }, row) {
  return values ? values[row] : names[index[row]] ?? "";
}

// ---- which are picked --------------------------------------------------------------------------

const picked = (() => {
  const listeners = [];
  let [rows, dropped, data] = [[], null, null];

  async function set(next) {
    data = await allRuns();
    if (next.length === rows.length && next.every((row, i) => row === rows[i])) return;
    rows = next.slice(-2);
    dropped = next.length > 2 ? next[0] : null;
    keep();
    await Promise.all(listeners.map((listener) => listener()));
  }

  function keep() {
    const ids = rows.map((row) => data.ids[row]);
    const anchored = address.anchor().startsWith("run-");
    if (anchored) address.move(ids.length ? `run-${ids[0]}` : "runs");
    address.set("runs", anchored && ids.length < 2 ? "" : ids.map(viewText.escape).join(","));
  }

  return {
    rows: () => rows,
    /** The run that was let go for the last one, as only two are compared; else null. */
    dropped: () => dropped,
    of: (sweep) => rows.filter((row) => data.sweep[row] === sweep).map((row) => data.run[row]),
    set,
    /** Picks a run, or gives it back; `further`: beside the one that is picked. */
    async toggle(sweep, name, further) {
      const row = (await allRuns()).place.get(`${sweep}/${name}`);
      if (row === undefined) return;
      const others = rows.filter((one) => one !== row);
      const was = others.length < rows.length;
      if (further) await set(was ? others : [...others, row]);
      else await set(was && !others.length ? [] : [row]);
    },
    onChange: (listener) => listeners.push(listener),
  };
})();

/** Shows a run by its name (or sweep/name): its curve and settings come into view. */
async function showRun(id) {
  const row = (await allRuns()).place.get(id);
  if (row === undefined) return;
  await picked.set([row]);
  arrive(document.getElementById("picked"));
}

/** What the address says; the anchor "run-ID" stands for that run alone. */
async function restorePicked() {
  const listed = address.get("runs").split(",").filter(Boolean).map(viewText.unescape);
  const anchored = address.anchor().startsWith("run-");
  if (!listed.length && anchored) return showRun(address.anchor().slice(4));
  const known = listed.length ? (await allRuns()).place : null;
  const rows = listed.map((id) => known.get(id)).filter((row) => row !== undefined).slice(0, 2);
  if (!rows.length) address.set("runs", "");
  await picked.set(rows);
  if (anchored && listed.length) arrive(document.getElementById("picked"));
}

// ---- what is shown of them ---------------------------------------------------------------------

const HOW_TO_COMPARE =
  "Pick a second run by its box in the table, or by Ctrl, ⌘ or Shift and a click, to see what differs.";

function startPicked() {
  const box = make("section", { id: "picked", hidden: true, "aria-label": "Picked runs" });
  document.getElementById("runs-table").after(box);
  picked.onChange(() => fillPicked(box));
  address.onChange((whole) => {
    if (whole || address.anchor().startsWith("run-")) restorePicked();
  });
  if (address.get("runs") || address.anchor().startsWith("run-")) restorePicked();
}

async function fillPicked(box) {
  const rows = picked.rows();
  const data = await allRuns();
  box.hidden = !rows.length;
  if (!rows.length) return box.replaceChildren();
  const title = rows.length > 1 ? "Two runs side by side" : `Run ${data.run[rows[0]]}`;
  const close = make("button", { type: "button", onclick: () => picked.set([]) }, "Close");
  const holder = make("div", { className: "picked-curves" });
  const hint = make("p", { className: "muted", role: "status" }, hintOf(data, rows));
  box.replaceChildren(
    make("h3", {}, title, " ", close), ...rows.map((row) => pickedLine(data, row)), hint,
    holder, settingsTable(data, rows), everySetting(data, rows));
  await drawPicked(holder, data, rows);
}

function hintOf(data, rows) {
  if (rows.length < 2) return HOW_TO_COMPARE;
  const dropped = picked.dropped();
  return dropped === null ? "" : `Only two are compared: run ${data.run[dropped]} was let go.`;
}

/** After a pick in the table: the curves below it come into view, and of the table what has room. */
function showPicked() {
  document.querySelector("#picked:not([hidden]) .picked-curves")?.scrollIntoView({ block: "nearest" });
}

function pickedLine(data, row) {
  const [, , status, arm] = data.columns.map((column) => cellOf(column, row));
  const url = data.urls[row];
  const onclick = () => showAmong(data, row);
  const among = boxOf(data.sweep[row]) ? [make("button", { type: "button", onclick }, "Show among its group")] : [];
  return make("p", { className: "picked-run" },
    make("a", { href: `#run-${encodeURIComponent(data.ids[row])}` }, data.run[row]),
    ` of ${data.sweep[row]}, ${arm}, ${status} `, ...(url ? [make("a", { href: url }, "folder"), " "] : []), ...among);
}

/** Of one run what tells it apart in its sweep, of two what differs; then what came out. */
function settingsTable(data, rows) {
  const own = new Set([...(data.sweeps[data.sweep[rows[0]]] ?? []), "seed"]);
  const listed = rows.length > 1
    ? data.settings.filter(({ index }) => index[rows[0]] !== index[rows[1]])
    : data.settings.filter(({ title }) => own.has(title));
  const line = (title, cells) => make("tr", {},
    make("th", { scope: "row" }, ...foldable(title)), ...cells.map((text) => make("td", {}, ...foldable(text))));
  const known = new Set(["seed", ...data.settings.map(({ title }) => title)]);
  const results = data.columns.filter(({ kind, title }) => kind === "number" && !known.has(title))
    .map((column) => line(column.title, rows.map((row) => cellText(cellOf(column, row), column.decimals))));
  const valued = (some) => some.map((setting) => line(setting.title, rows.map((row) => cellOf(setting, row) || "(empty)")));
  const follows = rows.length > 1 ? followers(listed, rows) : [];
  const chosen = listed.filter((setting) => !follows.includes(setting));
  const titles = [rows.length > 1 ? "differs" : "setting", ...rows.map((row) => data.run[row])];
  const head = make("tr", {}, ...titles.map((title) => make("th", { scope: "col" }, title)));
  return make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Settings and results" },
    make("table", { className: "compared" },
      make("caption", {}, captionOf(rows, chosen, follows)),
      make("thead", {}, head),
      make("tbody", { className: "differing" }, ...valued(chosen)),
      ...(follows.length ? [make("tbody", { className: "following" }, followsHead(follows, rows), ...valued(follows))] : []),
      make("tbody", { className: "came-out" }, ...results)));
}

/** Settings that only one of two kinds has: where the kinds differ, they follow. */
function followers(listed, rows) {
  const kinds = listed.map(({ title }) => title).filter((title) => title.endsWith(".kind"));
  return listed.filter((setting) => {
    const [group, name] = setting.title.split(".");
    const ofOne = name === "_target_" || rows.some((row) => cellOf(setting, row) === "null");
    return ofOne && name !== "kind" && kinds.includes(`${group}.kind`);
  });
}

function followsHead(follows, rows) {
  const groups = new Set(follows.map(({ title }) => title.split(".")[0]));
  const text = `follows from ${[...groups].join(", ")}`;
  return make("tr", {}, make("th", { scope: "rowgroup", colSpan: rows.length + 1 }, text));
}

/** A text that may go on in the next line behind a dot or underscore. */
function foldable(text) {
  return text.split(/(?<=[._])/).flatMap((part) => [part, make("wbr")]);
}

function captionOf(rows, chosen, follows) {
  if (rows.length < 2) return "What tells it apart in its sweep, and what came out";
  if (!chosen.length) return "No setting differs; what came out";
  const count = `${chosen.length} setting${chosen.length > 1 ? "s differ" : " differs"}`;
  return `${count}, all others ${follows.length ? "follow or " : ""}are the same; what came out`;
}

function everySetting(data, rows) {
  const all = [
    ...data.settings.map((one) => [one.title, [...new Set(rows.map((row) => cellOf(one, row)))].join(" | ")]),
    ...data.shared,
  ].sort(([a], [b]) => (a < b ? -1 : 1));
  const entries = all.map(([key, value]) => make("div", {}, make("dt", {}, make("code", {}, key)), make("dd", {}, value)));
  return make("details", {}, make("summary", {}, "Every setting"), make("dl", { className: "settings" }, ...entries));
}

addEventListener("DOMContentLoaded", startPicked);

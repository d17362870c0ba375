"use strict";
// From what is chosen to what is drawn: lines, points and crosses, each in its panel with its look.

const MAX_GROUPS_DRAWN = 200;
const MAX_RUNS_DRAWN = 600;
const MAX_PANELS = 16;
const DASHES = [[], [7, 4], [2, 3], [10, 3, 2, 3], [4, 2], [14, 5], [8, 3, 2, 3, 2, 3], [1, 4]];
const GREY = { light: "#777777", dark: "#999999" };

/** Fills chart.lines, crosses, panels and the counts that the note tells. */
function gather(chart) {
  chart.groups = chosenGroups(chart);
  const groups = chart.groups.slice(0, MAX_GROUPS_DRAWN);
  chart.panels = panelsOf(chart, groups);
  const shown = groups.filter((group) => chart.panels.includes(panelOf(chart, group)));
  chart.looks = looksOf(chart, shown);
  chart.crosses = [];
  chart.early = chart.crowd = 0;
  chart.lines = isAgainst(chart) ? gatherAgainst(chart, shown) : gatherCurves(chart, shown);
  chart.lines.push(...pickedLines(chart));
}

// ---- panels and looks --------------------------------------------------------------------------

/** The value that a group's panel stands for, as an index; -1 where it has none. */
function panelOf({ data, choice }, group) {
  return choice.panel ? data.groups[group][columnOf(data, choice.panel)] : 0;
}

function panelsOf(chart, groups) {
  const found = new Set(groups.map((group) => panelOf(chart, group)));
  return [...found].sort((a, b) => (a < 0) - (b < 0) || a - b).slice(0, MAX_PANELS);
}

function panelTitle({ data, choice }, panel) {
  if (!choice.panel) return "";
  const value = namesOf(data, choice.panel)[panel];
  if (choice.panel === "arm") return value;
  return panel < 0 ? `no ${choice.panel}` : `${choice.panel} ${value}`;
}

/** Colour and dash of groups: the colour by one setting, dashes by what neither it nor a panel tells. */
function looksOf(chart, groups) {
  const colours = coloursOf(chart, groups);
  const rest = restOf(chart);
  const names = new Map(groups.map((group) => [group, rest(group)]));
  const different = [...new Set(names.values())];
  return {
    colour: (group) => colours(group)[shade()],
    dash: (group) => DASHES[Math.max(0, different.indexOf(names.get(group) ?? rest(group))) % DASHES.length],
    name: (group) => lineName(chart, group, names.get(group) ?? rest(group)),
  };
}

function coloursOf({ data, choice }, groups) {
  if (choice.colour === "arm") return (group) => data.arms[data.groups[group][0]];
  const column = columnOf(data, choice.colour);
  const key = data.keys[column - 1];
  const there = [...new Set(groups.map((group) => data.groups[group][column]))].filter((value) => value >= 0)
    .sort((a, b) => a - b);
  const stretch = (data.ramp.length - 1) / Math.max(1, there.length - 1);
  return (group) => {
    const value = data.groups[group][column];
    if (value < 0) return GREY;
    if (!key.numbers) return data.palette[value % data.palette.length];
    return data.ramp[Math.round(Math.max(0, there.indexOf(value)) * stretch)];
  };
}

/** What tells a group's line from others of its colour and panel, as text. */
function restOf({ data, choice }) {
  const told = [choice.colour, choice.panel, choice.x];
  const keys = chipKeys(data).filter((key) => key.tells && !told.includes(key.name))
    .map((key) => [key, columnOf(data, key.name)]);
  return (group) => {
    const row = data.groups[group];
    const settings = keys.filter(([, column]) => row[column] >= 0)
      .map(([key, column]) => `${key.short}=${key.values[row[column]]}`);
    return [told.includes("arm") ? "" : armName(data, told, row), ...settings].filter(Boolean).join(", ");
  };
}

/** The arm's label; where a setting of the arm is told apart, what remains of it. */
function armName(data, told, row) {
  const keys = data.keys.filter((key) => key.arm);
  if (!keys.some((key) => told.includes(key.name))) return data.arms[row[0]].label;
  return keys.map((key) => [key, row[columnOf(data, key.name)]])
    .filter(([key, value]) => value >= 0 && !told.includes(key.name))
    .map(([key, value]) => (key.name === "norm.kind" ? key.values[value] : `${key.short}=${key.values[value]}`))
    .join(" ");
}

function lineName({ data, choice }, group, rest) {
  const row = data.groups[group];
  const told = [choice.colour, choice.panel, choice.x];
  const colour = choice.colour === "arm" ? armName(data, told, row) : settingName(data, choice.colour, row);
  return [choice.colour === choice.panel ? "" : colour, rest].filter(Boolean).join(", ");
}

function settingName(data, name, row) {
  const key = data.keys[columnOf(data, name) - 1];
  const value = row[columnOf(data, name)];
  return value < 0 ? `no ${key.short}` : `${key.short}=${key.values[value]}`;
}

// ---- curves ------------------------------------------------------------------------------------

function gatherCurves(chart, groups) {
  const { data, choice, seeds, looks } = chart;
  const metric = data.metrics[choice.metric];
  const drawn = new Set(groups);
  const at = Object.keys(X).indexOf(choice.x);
  chart.crosses = metric.ends.filter(([group]) => drawn.has(group)).map(([group, ...end]) =>
    ({ group, panel: panelOf(chart, group), colour: looks.colour(group), x: end[at], y: end[3] }));
  chart.early = metric.early.filter(([group]) => drawn.has(group)).reduce((sum, [, n]) => sum + n, 0);
  const runs = choice.show === "means" || !seeds ? [] : groups.flatMap((group) => seeds.of.get(group) ?? []);
  chart.crowd = Math.max(0, runs.length - MAX_RUNS_DRAWN);
  const thin = runs.slice(0, MAX_RUNS_DRAWN).map((run) => runLine(chart, run)).filter(Boolean);
  const means = choice.show === "seeds" ? [] : groups.map((group) => {
    const curve = meanCurve(data, metric, group, choice.x);
    return curve && { ...lookOf(chart, group), kind: "mean", width: groups.length > 20 ? 1.25 : 2, ...curve };
  });
  return [...thin, ...means.filter(Boolean)];
}

function lookOf({ looks, ...chart }, group) {
  return {
    group,
    panel: panelOf(chart, group),
    colour: looks.colour(group),
    dash: looks.dash(group),
    name: looks.name(group),
  };
}

function runLine(chart, run) {
  const { data, choice, seeds } = chart;
  const group = seeds.group[run];
  const curve = runCurve(seeds, data.metrics[choice.metric].name, run, choice.x);
  const faint = choice.show === "both";
  const look = lookOf(chart, group);
  if (faint) look.dash = [];
  return curve && { ...look, kind: "run", run, width: 1, alpha: faint ? 0.4 : 0.75, ...curve };
}

/** The picked runs of this sweep, on top, whether or not their group is chosen. */
function pickedLines(chart) {
  if (isAgainst(chart) || !chart.seeds) return [];
  return picked.of(chart.sweep).map((name) => chart.seeds.place.get(name))
    .filter((run) => run !== undefined && (!chart.choice.panel || chart.panels.includes(panelOf(chart, chart.seeds.group[run]))))
    .map((run) => runLine(chart, run)).filter(Boolean)
    .map((line) => ({ ...line, picked: true, dash: [], width: 3, alpha: 1 }));
}

// ---- a setting as x ----------------------------------------------------------------------------

/** A line for all groups that are alike but for the setting on x; those without it lie level. */
function gatherAgainst(chart, groups) {
  const { data, choice } = chart;
  const column = columnOf(data, choice.x);
  const ofArm = data.keys[column - 1].arm;
  const alike = new Map();
  for (const group of groups) {
    const row = data.groups[group];
    const key = row.filter((_, i) => i !== column && !(ofArm && i === 0)).join();
    alike.set(key, [...(alike.get(key) ?? []), group]);
  }
  const place = placesOf(chart, groups);
  chart.crosses = groups.flatMap((group) => crossAgainst(chart, group, place));
  const lines = [...alike.values()].map((some) => lineAgainst(chart, some, place)).filter(Boolean);
  const thin = choice.show === "means" || !chart.seeds ? [] : dotsAgainst(chart, groups, place);
  return choice.show === "seeds" ? thin : [...thin, ...lines];
}

/** Where a group is on x: its number, else the place of its value among those shown. */
function placesOf(chart, groups) {
  const { data, choice } = chart;
  const column = columnOf(data, choice.x);
  const numbers = numbersOf(chart);
  const there = [...new Set(groups.map((group) => data.groups[group][column]))].filter((value) => value >= 0)
    .sort((a, b) => a - b);
  chart.ordinal = numbers ? null : there.map((value) => data.keys[column - 1].values[value]);
  const at = (value) => (numbers ? numbers[value] : there.indexOf(value));
  const known = there.map(at).filter((x) => x !== undefined);
  chart.marks = known;
  return {
    ends: [Math.min(...known), Math.max(...known)],
    of: (group) => (data.groups[group][column] < 0 ? null : at(data.groups[group][column])),
  };
}

function lineAgainst(chart, groups, place) {
  const rows = groups.map((group) => ({ group, x: place.of(group), row: measure(chart).of.get(group) }))
    .filter(({ x, row }) => x !== undefined && row && row[2] !== null)
    .sort((a, b) => a.x - b.x);
  if (!rows.length) return null;
  const level = rows[0].x === null;
  const points = level ? place.ends.map((x) => ({ ...rows[0], x })) : rows;
  return {
    ...lookOf(chart, groups[0]),
    kind: level ? "level" : "points",
    width: 2,
    x: points.map(({ x }) => x),
    y: points.map(({ row }) => row[2]),
    half: points.map(({ row }) => row[3]),
    n: points.map(({ row }) => row[1]),
    diverged: points.map(({ row }) => row[4]),
    groups: points.map(({ group }) => group),
  };
}

/** A cross for a group of which a run diverged; at the edge where it has no value. */
function crossAgainst(chart, group, place) {
  const row = measure(chart).of.get(group);
  const x = place.of(group);
  if (!row?.[4] || x === null || x === undefined) return [];
  return [{ group, panel: panelOf(chart, group), colour: chart.looks.colour(group), x, y: row[2], count: row[4], n: row[1] }];
}

function dotsAgainst(chart, groups, place) {
  const { seeds } = chart;
  const values = seeds.results[measure(chart).name] ?? [];
  return groups.flatMap((group) => (seeds.of.get(group) ?? [])
    .filter((run) => values[run] !== null && typeof place.of(group) === "number")
    .map((run) => ({
      ...lookOf(chart, group), kind: "dot", run, width: 1, alpha: 0.6, x: [place.of(group)], y: [values[run]],
    })));
}

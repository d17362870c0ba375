"use strict";
// What a reader has chosen of a sweep's curves, and how that stands in the address.

const X = { step: true, epoch: true, seconds: true };

/** What is chosen before the reader has done anything. */
function firstChoice(data) {
  return {
    metric: 0,
    result: 0,
    x: "step",
    logX: null, // as the values suggest
    logY: null,
    show: "means",
    colour: "arm",
    panel: "",
    arms: new Set(data.arms.keys()),
    values: data.selection.map((chosen) => new Set(chosen)),
    zoom: null,
  };
}

/** The keys with checkboxes: those that tell conditions apart. */
function chipKeys(data) {
  return data.keys.filter((key) => !key.arm);
}

/** Where a key's value is in a row of `data.groups`; of "arm" the first. */
function columnOf(data, name) {
  return name === "arm" ? 0 : 1 + data.keys.findIndex((key) => key.name === name);
}

function namesOf(data, name) {
  return name === "arm" ? data.arms.map((arm) => arm.label) : data.keys[columnOf(data, name) - 1].values;
}

/** Keys that may be colour or panel; the normalizer's kind is told by the arm already. */
function facets(data) {
  const named = data.keys.filter((key) => key.name !== "norm.kind" && key.values.length > 1);
  return ["arm", ...named.map((key) => key.name)];
}

/** All values of a key that is to be told apart on x, by colour or by panels are ticked; when it
 * no longer is, those that were ticked at first. */
function spread(chart, name, value) {
  const { data, choice } = chart;
  const before = choice[name];
  choice[name] = value;
  const told = [choice.x, choice.colour, choice.panel];
  chipKeys(data).forEach((key, i) => {
    const chosen = choice.values[i];
    if (key.name === value) key.values.forEach((_, index) => chosen.add(index));
    else if (key.name === before && !told.includes(before) && chosen.size === key.values.length) {
      choice.values[i] = firstChoice(data).values[i];
    }
  });
}

function isAgainst({ choice }) {
  return !X[choice.x];
}

/** The metric or result that y is. */
function measure({ data, choice }) {
  return X[choice.x] ? data.metrics[choice.metric] : data.results[choice.result];
}

/** Whether every value of the key on x is a number, and which; else null: places in a row. */
function numbersOf({ data, choice }) {
  const key = data.keys.find(({ name }) => name === choice.x);
  const numbers = key?.numbers;
  if (!numbers || numbers.length < 2) return null;
  const sizes = numbers.filter((number) => number !== 0);
  const wide = Math.max(...sizes) / Math.min(...sizes) >= 100;
  return wide && sizes.length < numbers.length ? null : numbers; // 0 beside decades
}

function suggestsLog({ data, choice }, axis) {
  if (axis === "y") return measure({ data, choice }).log;
  if (!isAgainst({ choice })) return Boolean(data.early);
  const numbers = numbersOf({ data, choice });
  return Boolean(numbers) && Math.min(...numbers) > 0 && Math.max(...numbers) / Math.min(...numbers) >= 10;
}

function isLog(chart, axis) {
  if (axis === "x" && isAgainst(chart) && !numbersOf(chart)) return false;
  return (axis === "x" ? chart.choice.logX : chart.choice.logY) ?? suggestsLog(chart, axis);
}

// ---- in the address ----------------------------------------------------------------------------

/** A set of names as "a,b" or, where that is shorter, all but some: "!c"; nothing if as at first. */
function chosenText(chosen, first, names) {
  const same = chosen.size === first.size && [...chosen].every((index) => first.has(index));
  if (same) return undefined;
  const [there, absent] = [true, false].map((wanted) =>
    names.filter((_, index) => chosen.has(index) === wanted).map(viewText.escape));
  return absent.length < there.length ? `!${absent.join(",")}` : there.join(",");
}

function chosenOf(text, names) {
  const listed = text.replace(/^!/, "").split(",").map((name) => names.indexOf(viewText.unescape(name)));
  const but = text.startsWith("!");
  return new Set([...names.keys()].filter((index) => listed.includes(index) !== but));
}

/** The choice in few letters; empty where nothing was chosen. */
function choiceText({ data, choice }) {
  const first = firstChoice(data);
  const changed = (name, text = choice[name]) => (choice[name] === first[name] ? undefined : text);
  const flag = (value) => (value === null ? undefined : String(Number(value)));
  const sets = chipKeys(data).map((key, i) =>
    [key.name, chosenText(choice.values[i], first.values[i], key.values)]);
  return viewText.join({
    m: changed("metric", data.metrics[choice.metric].name),
    r: changed("result", data.results[choice.result]?.name),
    x: changed("x", viewText.escape(choice.x)),
    lx: flag(choice.logX),
    ly: flag(choice.logY),
    s: changed("show"),
    c: changed("colour", viewText.escape(choice.colour)),
    p: changed("panel", viewText.escape(choice.panel)),
    z: choice.zoom?.join(","),
    a: chosenText(choice.arms, first.arms, data.arms.map((arm) => arm.label)),
    ...Object.fromEntries(sets),
  });
}

/** The choice that a text stands for; what it does not say, or no longer is there, is as at first. */
function choiceOf(text, data) {
  const [said, choice] = [viewText.split(text), firstChoice(data)];
  const named = (list, name) => Math.max(0, list.findIndex((one) => one.name === said.get(name)));
  const one = (field, allowed, otherwise) => {
    const name = viewText.unescape(said.get(field) ?? "");
    return allowed.includes(name) ? name : otherwise;
  };
  choice.metric = named(data.metrics, "m");
  choice.result = named(data.results, "r");
  const keys = facets(data);
  choice.x = one("x", data.results.length ? [...Object.keys(X), ...keys.slice(1)] : Object.keys(X), "step");
  choice.show = one("s", ["means", "seeds", "both"], "means");
  choice.colour = one("c", keys, "arm");
  choice.panel = one("p", keys, "");
  if (said.has("lx")) choice.logX = said.get("lx") === "1";
  if (said.has("ly")) choice.logY = said.get("ly") === "1";
  const zoom = (said.get("z") ?? "").split(",").map(Number);
  if (zoom.length === 2 && zoom[0] < zoom[1]) choice.zoom = zoom;
  if (said.has("a")) choice.arms = chosenOf(said.get("a"), data.arms.map((arm) => arm.label));
  chipKeys(data).forEach((key, i) => {
    if (said.has(key.name)) choice.values[i] = chosenOf(said.get(key.name), key.values);
  });
  return choice;
}

// ---- which groups that leaves ------------------------------------------------------------------

/** For each column of `data.groups` that is chosen from: its name, and what is chosen. */
function wanted({ data, choice }) {
  const keys = chipKeys(data);
  return [
    { name: "arm", column: 0, chosen: choice.arms },
    ...keys.map((key, i) => ({ name: key.name, column: columnOf(data, key.name), chosen: choice.values[i] })),
  ];
}

/** The choices that leave a group out; a value that its kind does not have leaves none out. */
function against(group, wants) {
  return wants.filter(({ column, chosen }) => group[column] >= 0 && !chosen.has(group[column]));
}

function chosenGroups(chart) {
  const wants = wanted(chart);
  return [...chart.data.groups.keys()].filter((group) => !against(chart.data.groups[group], wants).length);
}

/** For each choice the values with which there are runs, the other choices being as they are. */
function possible(chart) {
  const wants = wanted(chart);
  const found = new Map(wants.map(({ name }) => [name, new Set()]));
  for (const group of chart.data.groups) {
    const missing = against(group, wants);
    if (missing.length > 1) continue;
    for (const want of missing.length ? missing : wants) found.get(want.name).add(group[want.column]);
  }
  return found;
}

/** Why nothing is left, and the smallest change that mends it: {text, label, mend}. */
function emptiness(chart) {
  const { data } = chart;
  const wants = wanted(chart);
  const none = wants.filter(({ chosen, column }) => !chosen.size && data.groups.some((group) => group[column] >= 0));
  if (none.length) {
    const { name, chosen } = none[0];
    const mend = () => none.forEach((want) => namesOf(data, want.name).forEach((_, i) => want.chosen.add(i)));
    const told = none.map((want) => want.name).join(" and ");
    return { text: `No ${told} is ticked.`, label: `Tick all of ${told}`, mend, name, chosen };
  }
  let best = null;
  for (const group of data.groups) {
    const missing = against(group, wants);
    if (!best || missing.length < best.missing.length) best = { group, missing };
  }
  const value = ({ name, column }) => `${name} ${namesOf(data, name)[best.group[column]]}`;
  const blocking = best.missing.map(({ name, chosen }) =>
    `${name} ${[...chosen].slice(0, 4).map((i) => namesOf(data, name)[i]).join(", ")}${chosen.size > 4 ? ", …" : ""}`);
  return {
    text: `No run has ${blocking.join(" and ")} with the rest of what is ticked.`,
    label: `Tick ${best.missing.map(value).join(" and ")}`,
    mend: () => best.missing.forEach(({ chosen, column }) => chosen.add(best.group[column])),
  };
}

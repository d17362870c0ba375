"use strict";
// What a chart is steered by: metric, axes, colour, panels, and a box for each value of a setting.

function fillControls(chart) {
  const { data, choice } = chart;
  const change = (name, changes = {}) => (value) => {
    spread(chart, name, value);
    Object.assign(choice, changes);
    refill(chart);
  };
  const facetNames = facets(data);
  const xs = [...Object.entries(data.axes), ...(data.results.length ? facetNames.slice(1) : []).map((name) => [name, name])];
  const named = (list) => list.map(({ label }, index) => [index, label]);
  const metric = X[choice.x]
    ? picker("metric", named(data.metrics), choice.metric, (value) => change("metric", { logY: null })(Number(value)))
    : picker("metric", named(data.results), choice.result, (value) => change("result", { logY: null })(Number(value)));
  chart.seeAll = make("button", { type: "button", hidden: true, onclick: () => setZoom(chart, null) }, "See all");
  const further = facetNames.length > 1 ? [
    picker("colour", facetNames.map((name) => [name, name]), choice.colour, change("colour")),
    picker("panels", [["", "one"], ...facetNames.map((name) => [name, `by ${name}`])], choice.panel, change("panel"))] : [];
  const shown = [["means", "means"], ["seeds", "single seeds"], ["both", "both"]];
  const line = make("div", { className: "line" },
    metric,
    picker("against", xs, choice.x, change("x", { logX: null, logY: null, zoom: null })),
    picker("show", shown, choice.show, change("show")),
    ...further,
    logBox(chart, "x"), logBox(chart, "y"), chart.seeAll,
    make("span", { className: "muted hint" }, "Drag sideways to zoom in on x, double-click to see all; a click names the runs."));
  chart.chips.clear();
  const arms = data.arms.map((arm) => [swatch(`light-dark(${arm.light}, ${arm.dark})`), ` ${arm.label}`]);
  const sets = chipKeys(data).map((key, index) =>
    chooser(chart, key.name, key.values.map((value) => [value || "(empty)"]), choice.values[index]));
  chart.controls.replaceChildren(line, chooser(chart, "arm", arms, choice.arms), ...sets);
}

/** After a choice that changes which controls there are; the one in use keeps the focus. */
function refill(chart) {
  const label = document.activeElement?.closest("label")?.dataset.name;
  fillControls(chart);
  draw(chart);
  if (label) chart.controls.querySelector(`[data-name="${label}"] :is(select, input)`)?.focus();
}

function picker(name, options, chosen, change) {
  const items = options.map(([value, text]) => make("option", { value, textContent: text, selected: String(value) === String(chosen) }));
  const select = make("select", { "aria-label": name, onchange: () => change(select.value) }, ...items);
  return make("label", { "data-name": name }, `${name} `, select);
}

function logBox(chart, axis) {
  const name = axis === "x" ? "logX" : "logY";
  const box = make("input", { type: "checkbox", checked: isLog(chart, axis) });
  box.disabled = axis === "x" && isAgainst(chart) && !(numbersOf(chart) && Math.min(...numbersOf(chart)) > 0);
  box.onchange = () => {
    chart.choice[name] = box.checked === suggestsLog(chart, axis) ? null : box.checked;
    if (axis === "x") chart.choice.zoom = null;
    draw(chart);
  };
  return make("label", { "data-name": name }, box, ` log ${axis}`);
}

function swatch(colour) {
  return make("span", { className: "swatch", style: `background: ${colour}` });
}

/** Checkboxes for the values of a key; `chosen` is kept up to date. */
function chooser(chart, name, labels, chosen) {
  const boxes = labels.map((_, index) => make("input", {
    type: "checkbox",
    checked: chosen.has(index),
    onchange: (event) => {
      if (event.target.checked) chosen.add(index);
      else chosen.delete(index);
      draw(chart);
    },
  }));
  const chips = labels.map((label, index) =>
    make("label", { className: "chip" }, boxes[index], " ", ...label));
  chart.chips.set(name, chips);
  const setAll = (on) => {
    boxes.forEach((box, index) => { box.checked = on; if (on) chosen.add(index); });
    if (!on) chosen.clear();
    draw(chart);
  };
  const buttons = labels.length < 3 ? [] : [
    make("button", { type: "button", onclick: () => setAll(true) }, "all"),
    make("button", { type: "button", onclick: () => setAll(false) }, "none")];
  return make("fieldset", {}, make("legend", {}, name), ...chips, ...buttons);
}

/** Values that have no run with the rest of what is ticked are dimmed, and say so. */
function markChips(chart) {
  const there = possible(chart);
  for (const [name, chips] of chart.chips) {
    chips.forEach((chip, index) => {
      const without = !there.get(name).has(index);
      chip.classList.toggle("without", without);
      chip.title = without ? "no run with these settings" : "";
      chip.querySelector("input").setAttribute("aria-description", chip.title);
    });
  }
}

"use strict";
// A sweep's data as they come from Python: unpacked when they are first asked for.

const sweepData = (() => {
  const read = new Map();

  /** What a data element holds, prepared; null without the element. */
  function once(id, prepare) {
    if (!read.has(id)) {
      const there = document.getElementById(id);
      read.set(id, there ? Promise.resolve(readJson(id)).then(prepare) : Promise.resolve(null));
    }
    return read.get(id);
  }

  function curves(data) {
    data.grids = data.grids.map(unpacked);
    for (const metric of data.metrics) {
      metric.of = new Map(metric.curves.map((row) => [row[0], row]));
    }
    for (const result of data.results) {
      result.of = new Map(result.groups.map((row) => [row[0], row]));
    }
    return data;
  }

  function seeds(data) {
    data.grids = data.grids.map(unpacked);
    data.of = new Map();
    data.group.forEach((group, run) => data.of.set(group, [...(data.of.get(group) ?? []), run]));
    data.place = new Map(data.runs.map((name, run) => [name, run]));
    return data;
  }

  return {
    curves: (id) => once(id, curves),
    seeds: (id) => once(id, seeds),
  };
})();

/** Numbers from [decimals, first, difference, …]; without decimals from [null, number, …]. */
function unpacked([decimals, ...numbers]) {
  if (decimals === null) return numbers;
  const unit = 10 ** decimals;
  let sum = 0;
  return numbers.map((step) => (step === null ? null : (sum += step) / unit));
}

/** x, y, half the interval and n of a group's mean curve; null without one. */
function meanCurve(data, metric, group, axis) {
  const row = metric.of.get(group);
  if (!row) return null;
  const [, step, epoch, seconds, n, mean, half] = row;
  const x = data.grids[{ step, epoch, seconds }[axis]];
  return { x, y: unpacked(mean), half: half && unpacked(half), n };
}

/** x and y of a run's curve; null if it was never evaluated. */
function runCurve(seeds, metric, run, axis) {
  const values = seeds.metrics.find(({ name }) => name === metric)?.values[run];
  if (!values) return null;
  const x = axis === "seconds" ? unpacked(seeds.seconds[run]) : seeds.grids[seeds[axis][run]];
  return { x, y: unpacked(values) };
}

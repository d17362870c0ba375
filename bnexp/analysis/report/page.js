"use strict";
// What all parts of the page use, the theme, and the start. All text that comes from runs (names,
// settings, errors) is set as text and never as HTML.

const charts = [];

/** An element with properties or attributes, listeners ("onclick") and children. */
function make(tag, settings = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(settings)) {
    if (name in node) node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function readJson(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** Calls `create` once, as soon as the element comes near the visible part of the page. */
function whenNear(element, create) {
  const watcher = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    create();
  }, { rootMargin: "400px" });
  watcher.observe(element);
}

function theme() {
  return document.documentElement.dataset.theme;
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  const other = name === "dark" ? "light" : "dark";
  document.getElementById("theme").textContent = `${other[0].toUpperCase()}${other.slice(1)} page`;
  charts.forEach(draw);
}

function startTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const follow = () => setTheme(system.matches ? "dark" : "light");
  system.addEventListener("change", follow);
  button.hidden = false;
  button.onclick = () => {
    system.removeEventListener("change", follow);
    setTheme(theme() === "dark" ? "light" : "dark");
  };
  follow();
}

/** Claims are printed with their parts. */
function openForPrint() {
  const closed = [...document.querySelectorAll("details.claim:not([open])")];
  closed.forEach((details) => { details.open = true; });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }), { once: true });
}

startTheme();
document.querySelectorAll(".interactive").forEach((box) => whenNear(box, () => startChart(box)));
startRuns(document.getElementById("runs-table"));
addEventListener("beforeprint", openForPrint);

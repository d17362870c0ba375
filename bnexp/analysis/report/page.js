"use strict";
// What all parts of the page use, and the theme. All text that comes from runs (names, settings,
// errors) is set as text and never as HTML.

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

/** What the page holds packed (gzip, as text of base 64) in the element with this id. */
function unpack(id) {
  const packed = document.getElementById(id).textContent;
  const bytes = Uint8Array.from(atob(packed), (sign) => sign.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

async function readJson(id) {
  return unpack(id).json();
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

/** A setting of the reader's, kept from one visit to the next where the browser allows it. */
function remembered(name) {
  try {
    return localStorage.getItem(`bnexp.${name}`);
  } catch {
    return null; // of a file, or where storage is forbidden
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`bnexp.${name}`, value);
  } catch { /* then it is chosen again next time */ }
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
  const wanted = () => remembered("theme") ?? (system.matches ? "dark" : "light");
  system.addEventListener("change", () => setTheme(wanted()));
  button.hidden = false;
  button.onclick = () => {
    const chosen = theme() === "dark" ? "light" : "dark";
    setTheme(chosen);
    remember("theme", chosen);
  };
  setTheme(wanted());
}

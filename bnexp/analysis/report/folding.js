"use strict";
// What is folded or packed until it is wanted: sweeps, figures, the rest of long tables; the
// contents, copying, and printing.

const loading = new Map(); // a promise for each picture that was asked for

/** Unpacks a figure's picture; the link to its format then holds it too, wherever the page is. */
function loadPicture(image) {
  if (!loading.has(image)) loading.set(image, showPicture(image));
  return loading.get(image);
}

async function showPicture(image) {
  const { kind, packed } = image.dataset;
  const picture = new Blob([await unpack(packed).arrayBuffer()], { type: kind });
  const url = URL.createObjectURL(picture);
  const figure = image.closest("figure");
  const ending = kind === "image/svg+xml" ? ".svg" : ".webp";
  const link = [...figure.querySelectorAll(".downloads a")].find((one) => one.pathname.endsWith(ending));
  if (link) {
    link.download = link.pathname.split("/").pop();
    link.href = url;
  }
  image.src = url;
  await image.decode().catch(() => {});
  markWide(image.parentElement);
}

/** Says that there is more at the side; only then is the region a stop for the keyboard. */
function markWide(region) {
  const isWide = region.scrollWidth > region.clientWidth + 1;
  const wanted = { tabindex: "0", role: "region", "aria-label": region.dataset.label };
  region.classList.toggle("wide", isWide);
  for (const [name, value] of Object.entries(wanted)) {
    if (isWide) region.setAttribute(name, value);
    else region.removeAttribute(name);
  }
}

function pictures(within) {
  return [...within.querySelectorAll("img[data-packed]")];
}

/** The pictures of what is open, the first ones first. */
async function loadOpen(within = document) {
  for (const image of pictures(within)) {
    if (image.checkVisibility()) await loadPicture(image);
  }
}

/** The rest of a long table, once. */
async function showRows(button) {
  if (button.disabled) return;
  button.disabled = true;
  const rows = make("template", { innerHTML: await unpack(button.dataset.rows).text() });
  button.closest("p").previousElementSibling.querySelector("tbody").append(rows.content);
  button.closest("p").remove();
}

/** Opens everything in which an element is folded. */
function reveal(element) {
  for (let node = element; node; node = node.parentElement) {
    if (node.tagName === "DETAILS") node.open = true;
  }
}

async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    getSelection().selectAllChildren(button.previousElementSibling);
    document.execCommand("copy"); // where the newer way is not allowed
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

let runsStart; // a promise, once the table of runs was asked for

/** Starts the table of all runs when it is first wanted. */
function startRunsOnce() {
  runsStart ??= startRuns(document.getElementById("runs-table"));
  return runsStart;
}

// ---- contents ----------------------------------------------------------------------------------

function startContents() {
  const nav = document.getElementById("contents");
  const button = document.getElementById("contents-button");
  const show = (open) => {
    nav.classList.toggle("open", open);
    button.setAttribute("aria-expanded", open);
  };
  button.hidden = false;
  nav.classList.add("foldable");
  button.onclick = () => show(!nav.classList.contains("open"));
  nav.addEventListener("click", (event) => { if (event.target.closest("a")) show(false); });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !nav.classList.contains("open")) return;
    show(false);
    button.focus();
  });
  followReader([...nav.querySelectorAll("a")]);
}

/** Marks in the contents where the reader is. */
function followReader(links) {
  const targets = new Map(links.map((link) => [document.getElementById(link.hash.slice(1)), link]));
  const seen = new Set();
  const watcher = new IntersectionObserver((entries) => {
    entries.forEach(({ target, isIntersecting }) => (isIntersecting ? seen.add(target) : seen.delete(target)));
    const inner = [...targets.keys()].filter((target) => seen.has(target)).pop();
    links.forEach((link) => link.removeAttribute("aria-current"));
    targets.get(inner)?.setAttribute("aria-current", "true");
  }, { rootMargin: "-10% 0px -80% 0px" });
  targets.forEach((_, target) => watcher.observe(target));
}

// ---- printing ----------------------------------------------------------------------------------

/** Claims are printed with their parts. */
function openClaims() {
  openWhilePrinting([...document.querySelectorAll("#claims details.claim:not([open])")]);
}

function openWhilePrinting(closed) {
  closed.forEach((details) => { details.open = true; });
  addEventListener("afterprint", () => closed.forEach((details) => { details.open = false; }), { once: true });
}

/** Every section with its figures, curves and whole tables, also of sweeps that were never opened. */
async function printAll(button) {
  if (button.disabled) return;
  const name = button.textContent;
  button.disabled = true;
  button.textContent = "Preparing";
  openWhilePrinting([...document.querySelectorAll("main details:not([open])")]);
  await Promise.all([...document.querySelectorAll("button.more")].map(showRows));
  await Promise.all([...document.querySelectorAll(".interactive")].map(startChart));
  for (const image of pictures(document)) await loadPicture(image);
  await startRunsOnce();
  button.disabled = false;
  button.textContent = name;
  print();
}

function startFolding() {
  document.querySelectorAll("details").forEach((details) => {
    details.addEventListener("toggle", () => { if (details.open) loadOpen(details); });
  });
  document.querySelectorAll("button.more").forEach((button) => {
    button.hidden = false;
    button.onclick = () => showRows(button);
  });
  document.querySelectorAll("button.copy").forEach((button) => {
    button.hidden = false;
    button.onclick = () => copy(button);
  });
  const printing = document.getElementById("print");
  printing.hidden = false;
  printing.onclick = () => printAll(printing);
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey || event.key !== "p") return;
    event.preventDefault();
    printAll(printing);
  });
  addEventListener("beforeprint", openClaims);
  addEventListener("resize", () => document.querySelectorAll(".picture").forEach(markWide));
  pictures(document).forEach((image) => whenNear(image, () => loadPicture(image)));
}

"use strict";
// The exact view, kept in the address behind the anchor: "#sweep-1?c.fig1=m:val_loss&t=…". Each
// part of the page has a name there and writes only what differs from its default.

const address = (() => {
  const listeners = [];
  let { anchor, view } = parse(location.hash);
  let pending = 0;

  function parse(hash) {
    const [, before, after = ""] = /^#?([^?]*)\??(.*)$/s.exec(hash);
    return { anchor: before, view: new Map(new URLSearchParams(after)) };
  }

  /** As short as a fragment allows, so that it can be read. */
  function encode(text) {
    return encodeURIComponent(text).replace(/%(?:2C|3A|3B|2F|40|24)/g, decodeURIComponent)
      .replace(/%20/g, "+");
  }

  function write() {
    clearTimeout(pending);
    pending = 0;
    const parts = [...view].map(([name, text]) => `${encode(name)}=${encode(text)}`);
    const hash = anchor + (parts.length ? `?${parts.join("&")}` : "");
    if (hash !== location.hash.slice(1)) history.replaceState(history.state, "", `#${hash}`);
  }

  /** What the anchor names comes into view; of it, or without one, the first chart with a view
   * where the address brought that (`whole`). */
  function scroll(whole = true) {
    const charts = [...document.querySelectorAll(".interactive")];
    const viewed = charts.filter((box) => view.has(`c.${box.dataset.sweep}`));
    const named = anchor ? document.getElementById(name()) : document.body;
    const seen = whole && viewed.find((box) => named?.contains(box));
    const target = seen || (anchor ? named : null);
    [...viewed, target].forEach(reveal);
    if (target) arrive(target);
  }

  function name() {
    try {
      return decodeURIComponent(anchor);
    } catch {
      return anchor;
    }
  }

  /** A plain link keeps the view; an address with a view brings its own. */
  addEventListener("hashchange", () => {
    const found = parse(location.hash);
    anchor = found.anchor;
    const whole = location.hash.includes("?");
    if (whole) view = found.view;
    write();
    listeners.forEach((listener) => listener(whole));
    scroll(whole);
  });
  addEventListener("pagehide", () => { if (pending) write(); });

  return {
    anchor: name,
    scroll,
    get: (field) => view.get(field) ?? "",
    /** Keeps a text under a name; an empty one is taken away. */
    set(field, text) {
      if ((view.get(field) ?? "") === text) return;
      if (text) view.set(field, text);
      else view.delete(field);
      pending ||= setTimeout(write, 150); // browsers limit how often an address may change
    },
    /** Another anchor, without going there. */
    move(to) {
      anchor = encode(to);
      pending ||= setTimeout(write, 150);
    },
    /** Calls `listener(whole)` when the reader goes elsewhere; `whole`: with a view of its own. */
    onChange: (listener) => listeners.push(listener),
  };
})();

/** An element comes into view, and stays there while what stands above it is still being made. */
const arrive = (() => {
  let goal = null; // the element, where it came to stand, and how high the page was then

  function place() {
    if (!goal) return;
    goal.element.scrollIntoView();
    goal.element.querySelector(":scope > .plot")?.scrollIntoView({ block: "nearest" }); // below tall controls
    goal.top = goal.element.getBoundingClientRect().top;
    goal.height = document.documentElement.scrollHeight;
  }

  function leave() {
    goal = null;
  }

  /** Where the page is as high as before and the element elsewhere, the reader has moved. */
  function follow() {
    if (goal?.height !== document.documentElement.scrollHeight) return;
    if (Math.abs(goal.element.getBoundingClientRect().top - goal.top) > 2) leave();
  }

  addEventListener("scroll", follow);
  for (const name of ["wheel", "pointerdown", "keydown"]) addEventListener(name, leave, { passive: true });
  new ResizeObserver(place).observe(document.documentElement);

  return (element) => {
    goal = { element };
    place();
  };
})();

/** "a:1;b:2" of named texts, for one part of the view; and back. */
const viewText = {
  escape: (text) => text.replace(/[~:;,!]/g, (sign) => `~${sign.charCodeAt(0).toString(16)}`),
  unescape: (text) => text.replace(/~([0-9a-f]{2})/g, (_, code) => String.fromCharCode(parseInt(code, 16))),
  join: (map) => Object.entries(map).filter(([, text]) => text !== undefined)
    .map(([name, text]) => `${viewText.escape(name)}:${text}`).join(";"),
  split: (text) => new Map(text.split(";").filter(Boolean).map((field) => {
    const at = field.indexOf(":");
    return at < 0 ? [viewText.unescape(field), ""] : [viewText.unescape(field.slice(0, at)), field.slice(at + 1)];
  })),
};

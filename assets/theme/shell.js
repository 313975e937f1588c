// What the page does without asking the studio: theme, address, busy line, folded details, phone card.
// Loaded in <head> before anything is drawn, so that a saved theme never flashes.
(() => {
  const KEY = "tuning-fork:theme";
  const root = document.documentElement;
  const system = window.matchMedia("(prefers-color-scheme: dark)");

  const saved = () => {
    try { return localStorage.getItem(KEY); } catch { return null; } // storage may be switched off
  };
  const wantsDark = () => (saved() ? saved() === "dark" : system.matches);

  const paint = () => {
    const dark = wantsDark();
    for (const node of [root, document.body]) {
      if (node && node.classList.contains("dark") !== dark) node.classList.toggle("dark", dark);
    }
    root.style.colorScheme = dark ? "dark" : "light";
    document.querySelectorAll("[data-theme-toggle]").forEach((button) => {
      button.setAttribute("aria-pressed", String(dark));
    });
  };

  const toggleTheme = () => {
    const next = wantsDark() ? "light" : "dark";
    try { localStorage.setItem(KEY, next); } catch { /* the choice then lasts for this page only */ }
    paint();
  };

  // The address is written by the studio into one hidden element and copied from there into the bar.
  const copyAddress = (node) => {
    const query = node.dataset.query;
    if (query === undefined) return;
    if (node.dataset.title) document.title = node.dataset.title;
    document.body.dataset.step = node.dataset.step || "";
    const current = location.search.replace(/^\?/, "");
    if (query === current) return;
    const method = node.dataset.push === "yes" && document.body.dataset.opened ? "pushState" : "replaceState";
    // The whole path: a page may have a base of its own that a bare query would lead away to.
    history[method](null, "", location.pathname + (query ? "?" + query : ""));
  };

  const idle = () => document.body.removeAttribute("data-phase");
  const busy = (phase) => {
    if (!phase) return;
    document.body.dataset.phase = phase;
    const line = document.getElementById("tf-phase");
    if (line) line.textContent = phase;
  };

  let lastSerial = "";
  const settle = () => {
    const node = document.querySelector("[data-serial]");
    if (!node || node.dataset.serial === lastSerial) return;
    const moved = node.dataset.step !== document.body.dataset.step && document.body.dataset.opened;
    lastSerial = node.dataset.serial;
    copyAddress(node);
    document.body.dataset.opened = "yes";
    idle();
    if (node.dataset.leave) {
      // Where the other page may lead back to stays in this tab: that page's server side is told nothing.
      try {
        sessionStorage.setItem("tuning-fork:back", node.dataset.back || "");
        const session = new URLSearchParams(node.dataset.query).get("session");
        if (session) localStorage.setItem("tuning-fork:seat:" + session, node.dataset.leave);
      } catch { /* then there is no way back but the browser's */ }
      location.assign(node.dataset.leave);
    }
    if (moved) {
      window.scrollTo({ top: 0 });
      // The new question is where a keyboard or a screen reader should be.
      setTimeout(() => document.querySelector("[data-step-title]")?.focus({ preventScroll: true }), 60);
    }
  };

  // What Gradio itself has to say, in our words: what happened and what to do next.
  const WORDS = [
    // A person who rates has started no run, and nothing that they could start again.
    [/Connection to the server was lost/, () => location.pathname.startsWith("/rate")
      ? "The studio does not answer. What you rated is saved. Leave this page open; it comes back by itself."
      : "The studio does not answer. Runs that were started go on. Start the studio again; this page comes back by itself."],
    [/exceed the maximum allowed size of ([\d.]+) (\w+)/, (found) =>
      `The file is larger than ${parseFloat(found[1])} ${found[2].toUpperCase()}, the limit of this studio. ` +
      "Add a smaller file, or raise STUDIO_UPLOAD_LIMIT_MB and start the studio again."],
    // Only uploads fail past the studio's own words: with a full disk it cannot even take the file in.
    [/HTTP 5\d\d|Internal Server Error/, () =>
      "The file could not be stored; the disk may be full. Free some space and add the file again. What was saved is kept."],
  ];
  const reword = () => {
    document.querySelectorAll('[data-testid="toast-text"]:not([data-ours])').forEach((node) => {
      node.dataset.ours = "yes";
      idle();
      for (const [pattern, words] of WORDS) {
        const found = node.textContent.match(pattern);
        if (found) node.textContent = words(found);
      }
    });
  };

  // Tabs are views of what is already here, so the page switches them itself and remembers which one was open.
  const openTabs = new Map();
  const showTab = (group, id) => {
    group.querySelectorAll('[role="tab"]').forEach((tab) => {
      const on = tab.id === id;
      if ((tab.getAttribute("aria-selected") === "true") !== on) tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      const body = document.getElementById(tab.getAttribute("aria-controls"));
      if (body && body.hidden === on) body.hidden = !on;
    });
  };
  const keepTabs = () => {
    document.querySelectorAll("[data-tabs]").forEach((group) => {
      const id = openTabs.get(group.dataset.tabs);
      if (id && document.getElementById(id)) showTab(group, id);
    });
  };

  // Details that a person opened stay open when the studio redraws the block around them.
  const opened = new Set();
  const reopen = () => {
    document.querySelectorAll("details[data-keep]").forEach((node) => {
      if (opened.has(node.dataset.keep) && !node.open) node.open = true;
    });
  };
  // A seat that was taken in this browser is found again; the studio itself keeps no link to it.
  const seats = () => {
    document.querySelectorAll("[data-seat]").forEach((door) => {
      let way = "";
      try { way = localStorage.getItem("tuning-fork:seat:" + door.dataset.seat) || ""; } catch { /* the button beside it remains */ }
      const [link, button] = [door.querySelector("a"), door.querySelector("button")];
      const known = way.startsWith("/rate/#");
      if (known && link.getAttribute("href") !== way) link.setAttribute("href", way);
      if (link.hidden === known) link.hidden = !known;
      if (button.hidden !== known) button.hidden = known;
    });
    document.querySelectorAll("[data-origin]").forEach((node) => {
      if (node.textContent.startsWith("/")) node.textContent = location.origin + node.textContent;
    });
  };

  document.addEventListener("click", (event) => {
    const door = event.target.closest?.("[data-seat] a");
    if (door) {
      const here = new URLSearchParams(location.search);
      here.set("step", "verdict");
      try { sessionStorage.setItem("tuning-fork:back", "/?" + here); } catch { /* as above */ }
    }
    // The page of models leads back to the run that is being set up, so it is told which one that is.
    const models = event.target.closest?.('a[href="/models"]');
    if (models && location.pathname === "/") models.href = "/models" + location.search;
    const summary = event.target.closest?.("details[data-keep] > summary");
    if (summary) {
      const node = summary.parentElement;
      if (node.open) opened.delete(node.dataset.keep);
      else opened.add(node.dataset.keep);
    }
    const tab = event.target.closest?.('[role="tab"]');
    const group = tab?.closest("[data-tabs]");
    if (group) {
      openTabs.set(group.dataset.tabs, tab.id);
      showTab(group, tab.id);
    }
    const target = event.target.closest?.("[data-theme-toggle],[data-card-toggle],[data-copy],[data-pick]");
    if (!target) return;
    if (target.matches("[data-theme-toggle]")) toggleTheme();
    else if (target.matches("[data-card-toggle]")) {
      const card = target.closest(".tf-card");
      const open = card.classList.toggle("is-open");
      target.setAttribute("aria-expanded", String(open));
    } else if (target.matches("[data-copy]")) {
      const text = document.getElementById(target.dataset.copy)?.textContent ?? "";
      navigator.clipboard?.writeText(text).then(() => { target.textContent = "Copied"; });
    } else if (target.dataset.phase) busy(target.dataset.phase);
  });

  // Arrow keys move inside a tab list, as the pattern for tabs asks.
  document.addEventListener("keydown", (event) => {
    const tab = event.target.closest?.('[role="tab"]');
    if (!tab || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const tabs = [...tab.closest('[role="tablist"]').querySelectorAll('[role="tab"]')];
    const next = tabs[(tabs.indexOf(tab) + (event.key === "ArrowRight" ? 1 : tabs.length - 1)) % tabs.length];
    next.focus();
    next.click();
    event.preventDefault();
  });

  system.addEventListener("change", paint);
  paint();
  const watch = () => {
    paint();
    new MutationObserver(paint).observe(document.body, { attributes: true, attributeFilter: ["class"] });
    new MutationObserver(() => { settle(); reopen(); keepTabs(); stay(); reword(); seats(); paint(); })
      .observe(document.body, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-serial", "open", "aria-selected", "hidden"] });
  };
  if (document.body) watch();
  else document.addEventListener("DOMContentLoaded", watch);

  // A field is left because a button is being pressed. What was typed goes out before the press does, and not while the
  // pointer is down: its answer would exchange the button under the finger. A form's own button sends all its fields.
  let pressed = null;
  let held = [];
  document.addEventListener("pointerdown", (event) => { pressed = event.target.closest?.("button, a") ?? null; }, true);
  const release = (event) => {
    const on = event.type === "pointerup" && pressed?.contains(event.target) ? pressed : null;
    const waiting = held;
    pressed = null;
    held = [];
    for (const { form, go } of waiting) if (!(on?.matches("[data-send]") && form?.contains(on))) go();
  };
  document.addEventListener("pointerup", release, true);
  document.addEventListener("pointercancel", release, true);
  const left = (field, go) => (pressed ? held.push({ form: field.closest("[data-form]"), go }) : go());

  // Whoever is in a field stays in it when the block around it is drawn again, and goes on with what they were writing.
  let at = null;
  let writing = false;
  document.addEventListener("focusin", (event) => {
    at = event.target.id && event.target.matches("[data-field]") ? event.target : null;
    writing = false;
  }, true);
  document.addEventListener("input", (event) => { if (event.target === at) writing = true; }, true);
  document.addEventListener("focusout", () => {
    const left = at;
    // A field that was taken away while it had the focus was not left: it comes back below.
    setTimeout(() => { if (left === at && left?.isConnected) at = null; });
  }, true);
  const stay = () => {
    if (!at || at.isConnected) return;
    const [was, wrote, field] = [at, writing, document.getElementById(at.id)];
    at = null;
    if (!field || document.activeElement !== document.body) return;
    if (wrote) field.value = was.value;
    field.focus({ preventScroll: true });
    writing = wrote;
    if (was.selectionStart != null) field.setSelectionRange(was.selectionStart, was.selectionEnd);
    // To the browser this field was never changed, so nobody would be told when it is left.
    if (wrote) field.addEventListener("blur", () => field.dispatchEvent(new Event("change", { bubbles: true })), { once: true });
  };

  // Two acts that are sent in one breath may arrive the other way round, so each says how many edits went before it.
  let edits = 0;
  const order = (event) => (event === "edit" ? { after: edits++, edits: 1 } : { after: edits });

  window.tuningFork = { busy, idle, left, order };
})();

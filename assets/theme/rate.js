// The rating page in the browser: who rates is in the fragment of the address, which browsers send to nobody by themselves.
// One message is under way at a time; it carries a number that the answer carries back, so that a lost one is noticed and can
// be sent again without counting twice.
const SEAL = 350; // ms in which a new pair takes no answer: the second half of a double click belongs to the pair before
const PATIENCE = 9000;
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "tie", ArrowDown: "both_bad", s: "skip", S: "skip", Backspace: "back" };
let sent = null;
let serial = 0;
let shownAt = 0;
let timer = 0;

const find = (selector) => element.querySelector(selector);
const seat = () => decodeURIComponent(location.hash.slice(1));
const keysOn = () => { try { return sessionStorage.getItem("tuning-fork:keys") !== "off"; } catch { return true; } };

const lost = (on) => {
  const line = find("[data-lost]");
  if (line) line.hidden = !on;
  if (on) element.removeAttribute("data-busy");
};

const send = (message) => {
  sent = message;
  element.setAttribute("data-busy", "yes");
  lost(false);
  clearTimeout(timer);
  timer = setTimeout(() => { if (sent === message) lost(true); }, PATIENCE);
  trigger("act", message);
};

const say = (name, value) => {
  if (sent) return;
  const here = find("[data-turn]");
  serial += 1;
  send({ seat: seat(), name, value: value || "", position: Number(here?.dataset.position ?? -1), turn: String(serial) });
};

const settle = () => {
  const here = find("[data-turn]");
  if (!here || !sent || here.dataset.turn !== sent.turn) return;
  sent = null;
  clearTimeout(timer);
  element.removeAttribute("data-busy");
  lost(false);
  shownAt = Date.now();
  show(sessionView(here));
  window.scrollTo({ top: 0 });
  here.querySelector("[data-focus]")?.focus({ preventScroll: true });
  markKeys();
  const back = here.querySelector("[data-back]");
  if (back) {
    let way = "";
    try { way = sessionStorage.getItem("tuning-fork:back") || ""; } catch { /* then nobody is led anywhere */ }
    if (way.startsWith("/") && !way.startsWith("//")) { back.href = way; back.hidden = false; }
  }
};

// On a narrow page both answers stand one above the other, equally high; the switch opens one of them.
let view = "both";
const sessionView = () => "both";
const show = (which) => {
  view = which;
  find("[data-view]")?.setAttribute("data-view", which);
  element.querySelectorAll("[data-show]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.show === which)));
};

const markKeys = () => {
  const on = keysOn();
  element.setAttribute("data-keys", on ? "on" : "off");
  element.querySelectorAll("[data-toggle-keys]").forEach((b) => {
    b.setAttribute("aria-pressed", String(on));
  });
};

element.addEventListener("click", (event) => {
  const b = event.target.closest("button");
  if (!b || !element.contains(b)) return;
  if (b.dataset.show) { show(b.dataset.show); return; }
  if (b.hasAttribute("data-toggle-keys")) {
    try { sessionStorage.setItem("tuning-fork:keys", keysOn() ? "off" : "on"); } catch { /* then they stay on */ }
    markKeys();
    return;
  }
  if (b.hasAttribute("data-again")) { if (sent) send(sent); return; }
  if (!b.dataset.say || event.detail > 1 || Date.now() - shownAt < SEAL) return;
  say(b.dataset.say, b.dataset.value);
});

const pressed = (event) => {
  if (!element.isConnected) { document.removeEventListener("keydown", pressed); return; }
  if (!keysOn() || event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const what = KEYS[event.key];
  if (!what || !find('[data-screen="pair"]') || event.target.closest?.("input, textarea, select")) return;
  const b = find(what === "back" ? '[data-say="back"]' : `[data-say="vote"][data-value="${what}"]`);
  event.preventDefault();
  if (!b || b.disabled || Date.now() - shownAt < SEAL) return;
  say(b.dataset.say, b.dataset.value);
};
document.addEventListener("keydown", pressed);

new MutationObserver(settle).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-turn"] });
window.addEventListener("hashchange", () => { sent = null; say("open"); });
// The page listens a moment after it is drawn; until it does, the first message is sent again.
const opening = setInterval(() => {
  if (find('[data-screen]:not([data-screen="wait"])') || !element.isConnected) { clearInterval(opening); return; }
  sent = null;
  say("open");
}, 700);
setTimeout(() => say("open"), 30);

// The rating page in the browser: who rates is in the fragment of the address, which browsers send to nobody by themselves.
// One message is under way at a time; it carries a number that the answer carries back, so that a lost one is noticed and can
// be sent again without counting twice.
const PATIENCE = 9000;
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "tie", ArrowDown: "both_bad", s: "skip", S: "skip", Backspace: "back" };
let sent = null;
let serial = 0;
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

// A press is kept in this tab until its answer is here: Gradio loads the page anew when the studio was gone for a while, and
// the press is then sent again. The studio counts it once.
const PRESS = "tuning-fork:press";
const keep = (message) => {
  try {
    if (message) sessionStorage.setItem(PRESS, JSON.stringify(message));
    else sessionStorage.removeItem(PRESS);
  } catch { /* then a press that was lost has to be made again */ }
};
const kept = () => {
  try {
    const message = JSON.parse(sessionStorage.getItem(PRESS) || "null");
    return message && message.seat === seat() ? message : null;
  } catch { return null; }
};

const say = (name, value, position) => {
  if (sent) return;
  const here = Number(find("[data-turn]")?.dataset.position ?? -1);
  serial += 1;
  const message = { seat: seat(), name, value: value || "", position: position ?? here, turn: String(serial) };
  if (name === "vote") keep(message);
  send(message);
};

const open = () => {
  const press = kept();
  if (press) say("vote", press.value, press.position);
  else say("open");
};

const settle = () => {
  const here = find("[data-turn]");
  if (!here || !sent || here.dataset.turn !== sent.turn) return;
  sent = null;
  keep(null);
  clearTimeout(timer);
  element.removeAttribute("data-busy");
  lost(false);
  show("both");
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
const show = (which) => {
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
  // The second half of a double click belongs to the pair before.
  if (!b.dataset.say || event.detail > 1) return;
  say(b.dataset.say, b.dataset.value);
});

const pressed = (event) => {
  if (!element.isConnected) { document.removeEventListener("keydown", pressed); return; }
  if (!keysOn() || event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const what = KEYS[event.key];
  if (!what || !find('[data-screen="pair"]') || event.target.closest?.("input, textarea, select")) return;
  const b = find(what === "back" ? '[data-say="back"]' : `[data-say="vote"][data-value="${what}"]`);
  event.preventDefault();
  if (!b || b.disabled) return;
  say(b.dataset.say, b.dataset.value);
};
document.addEventListener("keydown", pressed);

new MutationObserver(settle).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-turn"] });
window.addEventListener("hashchange", () => { sent = null; open(); });
// The page listens a moment after it is drawn; until it does, the first message is sent again.
const opening = setInterval(() => {
  if (find('[data-screen]:not([data-screen="wait"])') || !element.isConnected) { clearInterval(opening); return; }
  sent = null;
  open();
}, 700);
setTimeout(open, 30);

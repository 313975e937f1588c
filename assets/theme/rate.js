// The rating page in the browser: who rates is in the fragment of the address, which browsers send to nobody by themselves.
// One message is under way at a time; it carries a number that the answer carries back, so that a lost one is noticed and can
// be sent again without counting twice.
const PATIENCE = 9000;
const KEYS = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "tie", ArrowDown: "both_bad", s: "skip", S: "skip", Backspace: "back" };
let sent = null;
let serial = 0;
let timer = 0;

const find = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const seat = () => decodeURIComponent(location.hash.slice(1));
const session = () => new URLSearchParams(location.search).get("session") || "";
const screen = () => find("[data-turn]");
const here = () => Number(screen()?.dataset.position ?? -1);

// What is kept in this tab: a browser that keeps nothing forgets it on a reload, and all else works.
const recall = (name) => { try { return JSON.parse(sessionStorage.getItem(`tuning-fork:${name}`) || "null"); } catch { return null; } };
const keep = (name, value) => {
  try {
    if (value === null) sessionStorage.removeItem(`tuning-fork:${name}`);
    else sessionStorage.setItem(`tuning-fork:${name}`, JSON.stringify(value));
  } catch { /* then it has to be made again */ }
};
const mine = (value) => (value && value.seat === seat() ? value : null);
const keysOn = () => recall("keys") !== "off";

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

// How long the pair was looked at: the clock stands while the page is hidden.
let looked = 0;
let since = 0;
const seconds = () => (looked + (since ? performance.now() - since : 0)) / 1000;
const look = () => {
  if (document.hidden) { looked += since ? performance.now() - since : 0; since = 0; }
  else if (!since) since = performance.now();
};
document.addEventListener("visibilitychange", look);

// What is said beside the answer goes along with it, and until then is kept by pair, as somebody typed it.
const remarks = () => ({
  criteria: Object.fromEntries(all("[data-criterion]").flatMap((one) => {
    const answer = one.querySelector('[aria-pressed="true"]')?.dataset.answer;
    return answer ? [[one.dataset.criterion, answer]] : [];
  })),
  comment: find("[data-comment]")?.value || "",
});
const drafts = () => mine(recall("drafts"))?.at || {};
const draft = () => { keep("drafts", { seat: seat(), at: { ...drafts(), [here()]: remarks() } }); };
const undraft = (position) => {
  const left = drafts();
  delete left[position];
  keep("drafts", { seat: seat(), at: left });
};
const redraft = () => {
  const was = find('[data-screen="pair"]') && drafts()[here()];
  if (!was) return;
  all("[data-answer]").forEach((b) => {
    b.setAttribute("aria-pressed", String(was.criteria[b.closest("[data-criterion]").dataset.criterion] === b.dataset.answer));
  });
  const field = find("[data-comment]");
  if (field) field.value = was.comment;
};
const answerBeside = (b) => {
  const on = b.getAttribute("aria-pressed") !== "true";
  b.parentElement.querySelectorAll("[data-answer]").forEach((other) => other.setAttribute("aria-pressed", String(on && other === b)));
  const told = find("[data-told]");
  if (told) told.textContent = on ? b.textContent : "Taken back";
  draft();
};

const say = (name, value) => {
  if (sent) return;
  serial += 1;
  const message = { seat: seat(), name, value: value || "", position: here(), turn: String(serial) };
  if (name === "vote") {
    Object.assign(message, remarks(), { seconds: seconds() });
    // Until its answer is here: Gradio loads the page anew when the studio was gone for a while, and it is then sent again.
    keep("press", message);
  }
  send(message);
};

const open = () => {
  serial += 1;
  const press = mine(recall("press"));
  if (press) send({ ...press, turn: String(serial) });
  else if (!seat() && session()) send({ seat: "", name: "enter", session: session(), turn: String(serial) });
  else send({ seat: seat(), name: "open", value: "", position: -1, turn: String(serial) });
};

const settle = () => {
  const now = screen();
  if (!now || !sent || now.dataset.turn !== sent.turn) return;
  const was = sent;
  sent = null;
  keep("press", null);
  clearTimeout(timer);
  element.removeAttribute("data-busy");
  lost(false);
  const given = find("[data-seat]");
  if (given) { history.replaceState(null, "", `${location.pathname}#${given.dataset.seat}`); open(); return; }
  // Not taken: the same pair again, or none at all.
  const again = now.dataset.screen === "pair" && here() === was.position;
  if (was.name === "vote" && now.dataset.screen !== "trouble" && !again) undraft(was.position);
  arrive(now);
};

const arrive = (now) => {
  looked = 0;
  since = 0;
  look();
  show("both");
  window.scrollTo({ top: 0 });
  redraft();
  grown();
  now.querySelector("[data-focus]")?.focus({ preventScroll: true });
  markKeys();
  hold();
  const total = Number(now.dataset.total || 0);
  const added = find("[data-added]");
  if (added && total > (mine(recall("total"))?.total || total)) added.hidden = false;
  if (total) keep("total", { seat: seat(), total });
  const door = find("[data-sign-in]");
  // Inside the Hub's frame its own cookies may be refused; a page of its own has them.
  if (door && window.top !== window) door.target = "_blank";
  const back = find("[data-back]");
  if (back) {
    let way = "";
    try { way = sessionStorage.getItem("tuning-fork:back") || ""; } catch { /* then nobody is led anywhere */ }
    if (way.startsWith("/") && !way.startsWith("//")) { back.href = way; back.hidden = false; }
  }
};

// A pair that is to be looked at for a while takes no answer before; the studio looks at its own clock all the same.
const left = () => Math.ceil(Number(screen()?.dataset.least || 0) - seconds());
let waits = 0;
const hold = () => {
  clearTimeout(waits);
  const held = left() > 0;
  all(".rt-bar .rt-button").forEach((b) => { held ? b.setAttribute("aria-disabled", "true") : b.removeAttribute("aria-disabled"); });
  if (held) waits = setTimeout(hold, 200);
  else { const line = find("[data-hold]"); if (line) line.textContent = ""; }
};
const held = () => {
  if (left() <= 0) return false;
  const line = find("[data-hold]");
  if (line) line.textContent = `Read both first. Your answer is taken in ${left()} s.`;
  return true;
};

// On a narrow page both answers stand one above the other, equally high; the switch opens one of them.
const show = (which) => {
  find("[data-view]")?.setAttribute("data-view", which);
  all("[data-show]").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.show === which)));
};

const markKeys = () => {
  const on = keysOn();
  element.setAttribute("data-keys", on ? "on" : "off");
  all("[data-toggle-keys]").forEach((b) => b.setAttribute("aria-pressed", String(on)));
};

const grown = () => {
  const field = find("[data-comment]");
  if (!field) return;
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight + 2, 160)}px`;
  // What is being written stays above the buttons that lie over the foot of the page.
  if (document.activeElement === field) field.scrollIntoView({ block: "nearest" });
};

const press = (b) => {
  if (b.dataset.say === "vote" && held()) return;
  say(b.dataset.say, b.dataset.value);
};

element.addEventListener("click", (event) => {
  const b = event.target.closest("button");
  if (!b || !element.contains(b)) return;
  if (b.dataset.show) { show(b.dataset.show); return; }
  if (b.dataset.answer) { if (!sent) answerBeside(b); return; }
  if (b.hasAttribute("data-toggle-keys")) {
    keep("keys", keysOn() ? "off" : null);
    markKeys();
    return;
  }
  if (b.hasAttribute("data-again")) { if (sent) send(sent); return; }
  // The second half of a double click belongs to the pair before.
  if (!b.dataset.say || event.detail > 1) return;
  press(b);
});
element.addEventListener("input", (event) => {
  if (!event.target.matches("[data-comment]")) return;
  grown();
  draft();
});

// A number leads to a question beside the overall one, where the arrows answer it; C leads to the comment, Escape back.
let asking = false;
const goBack = () => { asking = false; find("[data-focus]")?.focus({ preventScroll: true }); };
const beside = (key) => {
  const node = key === "c" || key === "C" ? find("[data-comment]") : /^[1-9]$/.test(key) ? find(`[data-key="${key}"]`) : null;
  if (!node) return false;
  const target = node.querySelector('[aria-pressed="true"]') || node.querySelector("button") || node;
  asking = true;
  target.focus({ preventScroll: true });
  node.scrollIntoView({ block: "nearest" });
  return true;
};

const pressed = (event) => {
  if (!element.isConnected) { document.removeEventListener("keydown", pressed); return; }
  const pair = find('[data-screen="pair"]');
  if (pair && event.key === "Escape" && event.target.closest?.(".rt-beside")) { goBack(); return; }
  if (!pair || !keysOn() || event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  if (event.target.closest?.("input, textarea, select")) return;
  if (beside(event.key)) { event.preventDefault(); return; }
  const what = KEYS[event.key];
  if (!what) return;
  event.preventDefault();
  const group = event.target.closest?.("[data-criterion]");
  if (group && event.key.startsWith("Arrow")) {
    const b = group.querySelector(`[data-answer="${what}"]`);
    if (!b || sent) return;
    answerBeside(b);
    if (asking) goBack(); else b.focus();
    return;
  }
  const b = find(what === "back" ? '[data-say="back"]' : `.rt-buttons [data-value="${what}"]`);
  if (b) press(b);
};
document.addEventListener("keydown", pressed);

new MutationObserver(settle).observe(element, { childList: true, subtree: true, attributes: true, attributeFilter: ["data-turn"] });
window.addEventListener("hashchange", () => { sent = null; open(); });
// The page listens a moment after it is drawn; until it does, the first message is sent again.
const opening = setInterval(() => {
  if (find('[data-screen]:not([data-screen="wait"])') || !element.isConnected) { clearInterval(opening); return; }
  open();
}, 700);
setTimeout(open, 30);

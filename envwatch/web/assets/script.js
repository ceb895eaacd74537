// Keeps an open page true: fetches it again now and then and takes over what changed, follows
// logs, says times as people do, and copies. Without it every page works; it only stands still.
"use strict";

const LONGEST = 60000;

// ------------------------------------------------------------ times

const ago = (seconds) => {
  for (const [length, unit] of [[86400 * 365, "y"], [86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  }
  return "now";
};

const clock = (seconds) => {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (!parts[0]) parts.shift();
  return parts.map((n, i) => (i ? String(n).padStart(2, "0") : n)).join(":");
};

function tell(root) {
  for (const time of root.querySelectorAll("time[data-ago], time[data-elapsed]")) {
    const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(time.dateTime)) / 1000));
    const text = "elapsed" in time.dataset ? clock(seconds) : ago(seconds);
    if (time.textContent !== text) time.textContent = text;
  }
}

// ------------------------------------------------------------ copying

// The clipboard is there by https and on this machine alone; elsewhere the old way still works.
async function copy(code) {
  if (navigator.clipboard) return navigator.clipboard.writeText(code.textContent);
  document.getSelection().selectAllChildren(code);
  if (!document.execCommand("copy")) throw new Error("the browser does not copy");
}

// Each piece of text for a shell or a file gets a button beside it.
function offer(root) {
  for (const text of root.querySelectorAll("pre.shell")) {
    const box = document.createElement("div");
    const button = document.createElement("button");
    const say = (word) => {
      button.textContent = word;
      button.setAttribute("aria-label", `${word}: ${text.getAttribute("aria-label")}`);
    };
    box.className = text.classList.contains("big") ? "paste big" : "paste";
    button.type = "button";
    say("Copy");
    button.addEventListener("click", async () => {
      await copy(text.firstElementChild).then(() => say("Copied"), () => say("Select it"));
      setTimeout(() => say("Copy"), 2000);
    });
    text.replaceWith(box);
    box.append(text, button);
  }
}

// ------------------------------------------------------------ the page

let tag = "";
const shown = new WeakMap();

// A region is replaced only where it differs, and never under somebody's cursor or selection.
function adopt(fresh) {
  tell(fresh);
  for (const next of fresh.querySelectorAll("[data-live][id]")) {
    const old = document.getElementById(next.id);
    if (!old || shown.get(old) === next.innerHTML) continue;
    if (old.contains(document.activeElement) && document.activeElement !== document.body) continue;
    const selection = document.getSelection();
    if (!selection.isCollapsed && old.contains(selection.anchorNode)) continue;
    const open = [...old.querySelectorAll("details")].map((d) => d.open);
    shown.set(old, next.innerHTML);
    old.replaceChildren(...document.adoptNode(next).childNodes);
    offer(old);
    old.querySelectorAll("details").forEach((d, i) => { d.open = open[i] ?? d.open; });
  }
  document.title = fresh.title;
  document.body.dataset.poll = fresh.body.dataset.poll;
}

async function look() {
  const url = new URL(location.href);
  url.hash = "";
  if (document.getElementById("log")) url.searchParams.set("log", "no");
  const headers = tag ? { "If-None-Match": tag } : {};
  const answer = await fetch(url, { headers, cache: "no-store" });
  if (answer.status === 304) return;
  if (!answer.ok) throw new Error(answer.statusText);
  adopt(new DOMParser().parseFromString(await answer.text(), "text/html"));
  tag = answer.headers.get("ETag") ?? "";
}

// ------------------------------------------------------------ the log

const MOST = 400000;

async function follow(log) {
  const box = document.querySelector(".follow");
  const answer = await fetch(`${log.dataset.follow}?offset=${log.dataset.offset}`);
  if (!answer.ok) throw new Error(answer.statusText);
  const piece = await answer.json();
  log.dataset.offset = piece.next;
  if (piece.text) {
    log.append(piece.text);
    if (log.textContent.length > MOST) log.textContent = log.textContent.slice(-MOST / 2);
    if (box.querySelector("input").checked) log.scrollTop = log.scrollHeight;
  }
  return piece.over;
}

// ------------------------------------------------------------ repeating

// Again and again while the page is seen; slower and slower while it fails.
function repeat(work, seconds) {
  let wait = 0;
  const again = async () => {
    if (!document.hidden) {
      try {
        if (await work()) return;
        wait = 0;
      } catch {
        wait = Math.min(LONGEST, (wait || 1000) * 2);
      }
    }
    setTimeout(again, Math.max(wait, seconds() * 1000));
  };
  setTimeout(again, seconds() * 1000);
}

tell(document);
setInterval(() => tell(document), 1000);
for (const region of document.querySelectorAll("[data-live][id]")) {
  shown.set(region, region.innerHTML);
}
offer(document);
if (document.body.dataset.poll) repeat(look, () => Number(document.body.dataset.poll));

// A file in the making: its address is asked for its headers alone until it is there.
async function ready() {
  const answer = await fetch(location.href, { method: "HEAD", cache: "no-store" });
  if (answer.status === 202) return false;
  location.reload();
  return true;
}

if (document.body.dataset.await) repeat(ready, () => Number(document.body.dataset.await));

const log = document.getElementById("log");
if (log) {
  log.scrollTop = log.scrollHeight;
  if (log.dataset.follow) {
    document.querySelector(".follow").hidden = false;
    repeat(() => follow(log), () => 1);
  }
}

// ------------------------------------------------------------ a file that is being written

const file = document.querySelector("textarea[data-check]");

// What is said of it stands below it, a moment after the last key.
async function check() {
  const form = new FormData(file.form);
  form.delete("file");
  const answer = await fetch(file.dataset.check, { method: "POST", body: form });
  if (!answer.ok) return;
  const said = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("as-typed").replaceChildren(...said.body.childNodes);
}

function select(line) {
  const before = file.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  const end = file.value.indexOf("\n", before);
  file.focus();
  file.setSelectionRange(before, end < 0 ? file.value.length : end);
}

if (file) {
  let waiting, sent = false;
  const typed = () => {
    clearTimeout(waiting);
    waiting = setTimeout(check, 400);
  };
  file.addEventListener("input", typed);
  document.getElementById("as-typed").addEventListener("click", (event) => {
    if (event.target.dataset.line) select(Number(event.target.dataset.line));
  });
  const chosen = file.form.elements.file;
  chosen.addEventListener("change", async () => {
    if (!chosen.files.length) return;
    const decoder = new TextDecoder("utf-8", { fatal: true });
    try {
      const text = decoder.decode(await chosen.files[0].arrayBuffer());
      if (text.includes("\0")) throw new TypeError("UTF-16");
      file.value = text;
    } catch {
      // the server says why it takes no such file
      file.form.elements.load.click();
      return;
    }
    chosen.value = "";
    typed();
  });
  file.form.elements.load.hidden = true;
  file.form.addEventListener("submit", () => { sent = true; });
  addEventListener("beforeunload", (event) => {
    const kept = !("unsaved" in file.dataset) && file.value === file.defaultValue;
    if (!sent && !kept) event.preventDefault();
  });
}

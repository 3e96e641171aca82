// Keeps the live parts of the page in step with the server and sends the buttons' actions.
"use strict";

const answer = document.getElementById("answer");
const connection = document.getElementById("connection");

function say(text, failed) {
  const line = document.createElement("p");
  line.textContent = text;
  line.classList.toggle("failed", failed);
  answer.replaceChildren(line);
  setTimeout(() => line.remove(), failed ? 9000 : 5000);
}

async function send(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const answered = await response.json();
  if (!response.ok) throw new Error(answered.error?.message ?? `The server answered ${response.status}.`);
  return answered;
}

async function busy(button, work) {
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  try {
    await work();
  } catch (error) {
    say(error.message, true);
  } finally {
    // The button may have been replaced by a live update meanwhile.
    (document.getElementById(button.id) ?? button).removeAttribute("aria-busy");
    button.removeAttribute("aria-busy");
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-action]");
  if (!button) return;
  busy(button, async () => {
    const answered = await send("/sandbox/actions", button.dataset.action);
    say(answered.message, false);
  });
});

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.command");
  if (!form) return;
  event.preventDefault();
  const place = { guild_id: form.dataset.guild, user_id: form.dataset.user };
  const output = form.querySelector("output");
  const line = form.elements.line.value;
  output.replaceChildren(message("…", [], place, output));
  busy(form.querySelector("button"), async () => {
    try {
      show(await send("/sandbox/commands", { ...place, line }), place, output);
    } catch (error) {
      const failed = message(error.message, [], place, output);
      failed.classList.add("failed");
      output.replaceChildren(failed);
    }
  });
});

function show(reply, place, output) {
  output.replaceChildren(
    ...reply.messages.map((one) => message(one.text, one.buttons, { ...place, message_id: one.id }, output)),
  );
}

// A timestamp as Discord's clients show it: "in 3 hours" with the style R, else date and time.
function moment(seconds, style) {
  if (style !== "R") {
    const shown = { dateStyle: "long", timeStyle: "short" };
    return new Date(seconds * 1000).toLocaleString(undefined, shown);
  }
  const away = seconds - Date.now() / 1000;
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, length] = units.find(([, length]) => Math.abs(away) >= length) ?? units.at(-1);
  return new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(Math.trunc(away / length), unit);
}

function message(text, buttons, place, output) {
  const box = document.createElement("div");
  box.className = "message";
  box.append(text.replace(/<t:(-?\d+)(?::([tTdDfFR]))?>/g, (_, seconds, style) => moment(Number(seconds), style)));
  const row = document.createElement("div");
  for (const one of buttons) {
    if (one.url) {
      const link = document.createElement("a");
      link.href = one.url;
      link.textContent = one.label;
      row.append(link);
      continue;
    }
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = one.label;
    button.disabled = one.disabled;
    button.addEventListener("click", () =>
      busy(button, async () => {
        show(await send("/sandbox/buttons", { ...place, custom_id: one.custom_id }), place, output);
      }),
    );
    row.append(button);
  }
  box.append(row);
  return box;
}

// Replaces the inside of the live elements that differ. When the elements themselves differ (somebody joined, a server
// appeared), all of it is replaced, and the focus and the open parts are put back by their ids.
function update(html) {
  const main = document.querySelector("main");
  const next = document.createElement("main");
  next.innerHTML = html;
  const keys = (root) => [...root.querySelectorAll("[data-live], .member, .away button")].map((one) => one.id).join();
  if (keys(main) !== keys(next)) {
    const open = [...main.querySelectorAll("details[open]")].map((one) => one.id);
    const typed = [...main.querySelectorAll("input")].map((one) => [one.id, one.value]);
    const focus = document.activeElement?.id;
    main.replaceChildren(...next.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    for (const [id, value] of typed) if (document.getElementById(id)) document.getElementById(id).value = value;
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
    return;
  }
  for (const fresh of next.querySelectorAll("[data-live]")) {
    const shown = document.getElementById(fresh.id);
    if (plain(shown) === plain(fresh)) continue;
    const before = new Set([...shown.querySelectorAll("[data-role]")].map((one) => one.dataset.role));
    const focus = shown.contains(document.activeElement) ? document.activeElement.id : "";
    shown.replaceChildren(...fresh.childNodes);
    for (const chip of shown.querySelectorAll("[data-role]")) {
      if (!before.has(chip.dataset.role)) chip.classList.add("fresh");
    }
    if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  }
}

// The element's inside without what this script added to it.
function plain(element) {
  return element.innerHTML.replaceAll(" fresh", "").replaceAll(' aria-busy="true"', "");
}

const events = new EventSource("/sandbox/events");
events.addEventListener("live", (event) => update(JSON.parse(event.data).html));
events.addEventListener("open", () => {
  connection.textContent = "live";
  connection.className = "connection on";
});
events.addEventListener("error", () => {
  connection.textContent = "the sandbox stopped";
  connection.className = "connection off";
});

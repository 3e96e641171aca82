// Keeps the page in step with the server, and sends what its buttons and forms ask for.
"use strict";

const answer = document.getElementById("answer");
const connection = document.getElementById("connection");
const stopped = "The sandbox has stopped, so nothing happens here. Start it again with: make sandbox";

function say(text, failed) {
  const line = document.createElement("p");
  line.textContent = text.replace(/<t:(\d+):(\w)>/g, (_, seconds, style) => moment(new Date(seconds * 1000), style));
  line.classList.toggle("failed", failed);
  answer.replaceChildren(line);
  setTimeout(() => line.remove(), failed ? 12000 : 6000);
}

async function send(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  } catch {
    throw new Error(stopped);
  }
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
    button.removeAttribute("aria-busy");
  }
}

// -- Buttons and commands

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { action, line, custom, message, guild, user } = button.dataset;
  if (action) {
    busy(button, async () => say((await send("/sandbox/actions", action)).message, false));
  } else if (line) {
    busy(button, () => ask({ guild_id: guild, user_id: user, line }));
  } else if (custom) {
    const output = button.closest("output") ?? reply(guild, user);
    busy(button, async () => {
      show(output, await send("/sandbox/buttons", { guild_id: guild, user_id: user, message_id: message, custom_id: custom }));
    });
  }
});

function reply(guild, user) {
  return document.getElementById(`reply-${guild}-${user}`);
}

function show(output, answered) {
  output.innerHTML = answered.html;
  times(output);
  output.scrollIntoView({ block: "nearest" });
}

// Types a command, and shows what the bot answers.
async function ask(command) {
  const output = reply(command.guild_id, command.user_id);
  output.textContent = "The bot is thinking…";
  try {
    show(output, await send("/sandbox/commands", command));
  } catch (error) {
    output.textContent = error.message;
    output.scrollIntoView({ block: "nearest" });
  }
}

document.addEventListener("change", (event) => {
  if (event.target.name !== "command") return;
  for (const part of event.target.form.querySelectorAll("fieldset")) {
    part.disabled = part.hidden = part.dataset.of !== event.target.value;
  }
});

// What a field says, by its option's type at Discord: whole number, yes or no, number, else text.
const values = { 4: Number, 5: (text) => text === "true", 10: Number };

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.command");
  if (!form) return;
  event.preventDefault();
  const options = {};
  for (const field of form.querySelectorAll("fieldset:not([disabled]) [name]")) {
    if (field.value !== "") options[field.name] = (values[field.dataset.kind] ?? String)(field.value);
  }
  const { guild, user } = form.dataset;
  busy(event.submitter ?? form.querySelector("button"), () =>
    ask({ guild_id: guild, user_id: user, command: form.elements.command.value, options }),
  );
});

// A form of the bot's.
document.addEventListener("submit", (event) => {
  const form = event.target.closest("form.modal");
  if (!form) return;
  event.preventDefault();
  const given = {};
  for (const field of form.querySelectorAll("[name]")) {
    const chosen = field.selectedOptions ? [...field.selectedOptions].map((one) => one.value) : [field.value];
    given[field.name] = chosen.filter((value) => value !== "");
  }
  const { guild, user, interaction } = form.dataset;
  const output = form.closest("output") ?? reply(guild, user);
  busy(event.submitter ?? form.querySelector("button"), async () => {
    show(output, await send("/sandbox/forms", { guild_id: guild, user_id: user, interaction, given }));
  });
});

// -- Times, in the reader's own zone

const clock = { timeStyle: "medium" };
const styles = {
  t: { timeStyle: "short" },
  T: clock,
  d: { dateStyle: "short" },
  D: { dateStyle: "long" },
  f: { dateStyle: "medium", timeStyle: "short" },
  F: { dateStyle: "full", timeStyle: "short" },
};

function moment(date, style) {
  if (style !== "R") return date.toLocaleString(undefined, styles[style] ?? styles.f);
  const away = (date - Date.now()) / 1000;
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [unit, length] = units.find(([, length]) => Math.abs(away) >= length) ?? units.at(-1);
  return new Intl.RelativeTimeFormat(undefined, { numeric: "auto" }).format(Math.trunc(away / length), unit);
}

function times(root) {
  for (const one of root.querySelectorAll("time[datetime]")) {
    one.textContent = moment(new Date(one.dateTime), one.dataset.style);
  }
}

// -- The live view

// What of an element is the reader's, and not the server's.
const kept = ["open", "aria-busy", "data-fresh"];

function attributes(now, next) {
  for (const { name } of [...now.attributes]) {
    if (!next.hasAttribute(name) && !kept.includes(name)) now.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (now.getAttribute(name) !== value && !(name === "open" && now.localName === "details")) now.setAttribute(name, value);
  }
}

// Makes `now` like `next`, changing as little as can be: focus, open parts and typed text stay.
function morph(now, next) {
  const byId = new Map([...now.children].filter((one) => one.id).map((one) => [one.id, one]));
  let at = now.firstChild;
  for (const fresh of [...next.childNodes]) {
    let same = fresh.id ? byId.get(fresh.id) : at;
    if (same && (same.nodeName !== fresh.nodeName || (!fresh.id && same.id))) same = undefined;
    if (!same) {
      now.insertBefore(fresh, at);
      if (fresh.dataset?.role) fresh.dataset.fresh = "";
      continue;
    }
    if (same === at) at = at.nextSibling;
    else now.insertBefore(same, at);
    if (same.nodeType === Node.TEXT_NODE) {
      if (same.data !== fresh.data) same.data = fresh.data;
    } else if (!same.hasAttribute?.("data-keep")) {
      if (same.dataset.role !== fresh.dataset.role) same.dataset.fresh = "";
      attributes(same, fresh);
      morph(same, fresh);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

const main = document.getElementById("content");

function update(html) {
  const next = document.createElement("main");
  next.innerHTML = html;
  times(next);
  const around = [];
  for (let one = document.activeElement; one && one !== document.body; one = one.parentElement) around.push(one);
  morph(main, next);
  // What had the focus did its work and is gone: the focus goes to what stands in its place.
  if (around.length && !around[0].isConnected) {
    const place = around.find((one) => one.isConnected && one !== document.documentElement) ?? main;
    (place.querySelector("button, a[href]") ?? main).focus({ preventScroll: true });
  }
}

times(main);
const events = new EventSource(`/sandbox/events?view=${document.body.dataset.view}`);
events.addEventListener("live", (event) => update(JSON.parse(event.data).html));
events.addEventListener("open", () => {
  connection.textContent = "live";
  connection.className = "connection on";
  document.body.classList.remove("stopped");
});
events.addEventListener("error", () => {
  connection.textContent = stopped;
  connection.className = "connection off";
  document.body.classList.add("stopped");
  const bot = document.querySelector("#facts dd");
  if (bot) bot.textContent = "stopped";
});

// The page: its form, the texts that are written, and the text to score.

import { get, storeKey, storedKey, untilAnswered } from "./api.js";
import * as link from "./link.js";
import { Notices } from "./notices.js";
import { startScoring } from "./score.js";
import { Text } from "./text.js";
import { View, closeAlternatives } from "./view.js";
import { startWriting } from "./writing.js";

const byId = (id) => document.getElementById(id);
const SLIDERS = ["temperature", "top_p", "length", "samples"];

let model = "kerasrnn";
let most = Infinity; // characters that one request may write
let texts = []; // {text, view, abort, ended} of each sample
const notices = new Notices(byId("notice"));
const { write, persist } = startWriting({ showState, most: () => most });

function parameters() {
  return {
    temperature: byId("temperature").valueAsNumber,
    top_p: byId("top_p").valueAsNumber,
  };
}

function length() {
  return byId("length").valueAsNumber;
}

// What a program that writes the first text again would send.
function request() {
  const { text } = texts[0];
  const { read, temperature, top_p } = text.segments[0];
  const written = Math.min(text.segments[0].write, most);
  return {
    model, prompt: read, max_tokens: written, temperature, top_p,
    seed: text.seed,
  };
}

function copyRequest(asWords, what) {
  const { write: written } = texts[0].text.segments[0];
  const rest = written > most ? ` It writes the first ${most} of ${written} `
    + "characters: more are not allowed in one request." : "";
  copy(asWords(request()), what, rest);
}

function showSliders() {
  for (const id of SLIDERS) {
    const output = document.querySelector(`output[for="${id}"]`);
    output.textContent = byId(id).value;
  }
}

function showState() {
  const working = texts.some((one) => one.abort);
  byId("stop").disabled = !working;
  byId("start").disabled = working;
  byId("continue").disabled = working || !texts.length;
  const written = texts.length && texts[0].text.segments.length;
  byId("copying").hidden = working || !written;
  const version = texts.length && texts[0].text.version;
  if (version) byId("version").textContent = `Version ${version}`;
}

// Ends what is being done to a sample, and has it say nothing any more.
function drop(sample) {
  if (sample.abort) sample.abort.abort();
  sample.abort = null;
}

function newTexts(seeds) {
  closeAlternatives();
  texts.forEach(drop);
  texts = seeds.map((seed, index) => {
    const sample = { text: new Text(seed), abort: null, ended: null };
    const title = seeds.length > 1 ? `Sample ${index + 1}, seed ${seed}`
      : `Seed ${seed}`;
    sample.view = new View(
      title, (at, choice) => branch(sample, at, choice));
    return sample;
  });
  byId("texts").replaceChildren(...texts.map((one) => one.view.element));
}

// Runs `work({ signal, notice })`, which writes to a sample; tells how it went.
// What was being written to it before ends first: two writers would mix their
// pieces.
async function working(sample, work) {
  drop(sample);
  const abort = sample.abort = new AbortController();
  const current = () => sample.abort === abort;
  const notice = notices.begin("Writing…");
  sample.view.working(true);
  showState();
  const { signal } = abort;
  const done = workAfter(sample.ended, work, { signal, notice });
  sample.ended = done.catch(() => {});
  try {
    await done;
  } catch (error) {
    if (!current()) return;
    if (error.name === "AbortError") notice.end("Stopped.");
    else notice.end(error.message, true);
    if (error.status === 401) askForKey();
  } finally {
    notice.end();
    if (current()) {
      sample.abort = null;
      sample.view.working(false);
      showState();
    }
  }
}

async function workAfter(ended, work, task) {
  await ended;
  task.signal.throwIfAborted();
  await work(task);
}

function begin(event) {
  event.preventDefault();
  const count = byId("samples").valueAsNumber;
  const field = byId("seed");
  const seed = field.value ? field.valueAsNumber
    : Math.floor(Math.random() * 2 ** 31);
  const seeds = Array.from({ length: count }, (_, index) => seed + index);
  if (!seeds.every(Number.isSafeInteger)) {
    notices.begin().end(
      `The seed ${field.value} cannot be used: the seeds of all samples have `
      + `to be from ${Number.MIN_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}. `
      + "Type another one, or none for a random one.", true);
    return;
  }
  newTexts(seeds);
  history.replaceState(null, "", location.pathname);
  const given = parameters();
  const read = byId("prompt").value;
  for (const sample of texts) {
    working(sample, (task) => write(sample, read, length(), given, task));
  }
}

function goOn() {
  const given = parameters();
  for (const sample of texts) {
    working(sample, (task) => {
      const read = sample.text.takeUnread();
      return write(sample, read, length(), given, task);
    });
  }
}

function branch(sample, at, choice) {
  const given = parameters();
  working(sample, async (task) => {
    const before = await persist(
      () => sample.text.cutForBranch(at, task.signal), task);
    sample.view.show(sample.text.characters);
    await write(sample, before + choice, length(), given, task);
  });
}

async function replay(fields) {
  byId("colours").checked = fields.colours !== false;
  newTexts(fields.texts.map((one) => one.seed));
  const first = fields.texts[0];
  byId("seed").value = first.seed;
  byId("samples").value = fields.texts.length;
  if (first.segments.length) {
    const segment = first.segments[0];
    byId("prompt").value = segment.read;
    byId("temperature").value = segment.temperature;
    byId("top_p").value = segment.top_p;
  }
  showSliders();
  showColours();
  const ours = texts;
  await Promise.all(texts.map((sample, index) => (
    working(sample, async (task) => {
      for (const one of fields.texts[index].segments) {
        const { read, write: wanted, temperature, top_p } = one;
        await write(sample, read, wanted, { temperature, top_p }, task);
      }
    }))));
  if (texts !== ours) return;
  const { version } = texts[0].text;
  if (fields.version && version && version !== fields.version) {
    notices.begin().end(
      `The link was made with version ${fields.version} of the model, and `
      + `version ${version} wrote this: the text may differ.`, true);
  }
}

async function copy(words, what, rest = "") {
  try {
    await navigator.clipboard.writeText(words);
    notices.begin().end(`${what} is copied.${rest}`);
  } catch {
    // Without permission, or without HTTPS: there it can be seen and taken.
    window.prompt(`Copy this:${rest}`, words);
  }
}

function copyLink() {
  const hash = link.encode(texts.map((one) => one.text),
    byId("colours").checked);
  history.replaceState(null, "", `#${hash}`);
  copy(location.href, "The link");
}

function showColours() {
  document.body.classList.toggle("coloured", byId("colours").checked);
}

function askForKey() {
  byId("key-field").hidden = false;
  byId("key").focus();
}

function showTab(name) {
  for (const id of ["write", "score"]) {
    const chosen = id === name;
    byId(id).hidden = !chosen;
    byId(`${id}-tab`).setAttribute("aria-selected", chosen);
    byId(`${id}-tab`).tabIndex = chosen ? 0 : -1;
  }
  closeAlternatives();
}

// Returns what the gateway answers, however long the server takes to come.
async function learn(path) {
  try {
    return await get(path);
  } catch (error) {
    const notice = notices.begin();
    notice.say(error.waiting, true);
    const answer = await untilAnswered(path, new AbortController().signal);
    notice.end();
    return answer;
  }
}

async function learnSettings() {
  const settings = await learn("/settings");
  model = settings.model;
  byId("model").textContent = model;
  most = settings.max_tokens;
  byId("length").max = Math.min(2000, most);
  if (settings.needs_key && !storedKey()) askForKey();
}

async function learnVersion() {
  const { versions } = await learn("/readyz");
  byId("version").textContent = `Version ${versions[versions.length - 1]}`;
  showState();
}

byId("form").addEventListener("submit", begin);
byId("continue").addEventListener("click", goOn);
byId("stop").addEventListener("click", () => {
  for (const one of texts) if (one.abort) one.abort.abort();
});
byId("colours").addEventListener("change", showColours);
byId("copy-link").addEventListener("click", copyLink);
byId("copy-curl").addEventListener(
  "click", () => copyRequest(link.curl, "The command"));
byId("copy-python").addEventListener(
  "click", () => copyRequest(link.python, "The program"));
byId("key").addEventListener("change", () => storeKey(byId("key").value));
for (const id of SLIDERS) byId(id).addEventListener("input", showSliders);
for (const id of ["write", "score"]) {
  byId(`${id}-tab`).addEventListener("click", () => showTab(id));
  byId(`${id}-tab`).addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    const other = id === "write" ? "score" : "write";
    showTab(other);
    byId(`${other}-tab`).focus();
  });
}
byId("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    byId("form").requestSubmit();
  }
});
window.addEventListener("hashchange", openLink);

function openLink() {
  const fields = link.decode(location.hash.slice(1));
  if (fields) replay(fields);
}

startScoring({ byId, notices, askForKey });
showSliders();
showColours();
showState();
learnSettings().then(openLink);
learnVersion();

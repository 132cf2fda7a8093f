"use strict";
const read = (name) => JSON.parse(document.getElementById(name).textContent);
const find = (selector) => document.querySelector(selector);
const page = read("page");
const probes = read("probes");

function decoded(name, type) {
  const text = atob(read(name));
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new type(bytes.buffer);
}

// N units, T characters, P probes; all arrays are flat, row after row.
const T = page.characters.length;
const N = page.layers * page.units;
const activations = decoded("activations", Int8Array); // [N, T]
const guesses = decoded("guesses", Uint16Array); // [T, 5]
const chances = decoded("chances", Uint16Array); // [T, 5]
const values = decoded("values", Uint8Array); // [P, T]
const scores = decoded("scores", Int16Array); // [P, N]
const control = decoded("control", Int16Array); // [P, N]
const FULL = 32767;

const shown = { unit: page.unit, plain: false, marks: true, own: true };
const cells = [];

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

const layerOf = (unit) => Math.floor(unit / page.units);
const withinLayer = (unit) => unit % page.units;
const score = (probe, unit) => scores[probe * N + unit] / FULL;
const signed = (value) => (value < 0 ? "\u2212" : "+") +
  Math.abs(value).toFixed(2);
const nameOf = (unit) => (page.layers > 1 ?
  `layer ${layerOf(unit) + 1}, ` : "") + `unit ${withinLayer(unit) + 1}`;

// The probe that a unit follows best, above what shuffled text gives; or -1.
function bestProbe(unit) {
  let best = -1;
  probes.forEach((probe, index) => {
    const size = Math.abs(score(index, unit));
    if (probe.present && size > probe.threshold &&
        (best < 0 || size > Math.abs(score(best, unit)))) best = index;
  });
  return best;
}

// A value in [-1, 1] as a colour from blue through white to red.
function color(value) {
  const end = value < 0 ? page.colors.negative : page.colors.positive;
  const size = Math.min(1, Math.abs(value));
  const parts = end.map((part) => Math.round(255 + (part - 255) * size));
  return `rgb(${parts.join(", ")})`;
}

function visible(character) {
  const names = { "\n": "\u21b5", "\t": "\u21e5", " ": "\u2423" };
  if (character in names) return names[character];
  const code = character.codePointAt(0);
  return code < 32 ? String.fromCodePoint(0x2400 + code) : character;
}

function makeCell(index) {
  const character = page.characters[index];
  const cell = make("span", "character");
  cell.dataset.index = index;
  cell.append(make("b", "", character === " " ? " " : visible(character)));
  if (/\s/.test(character)) cell.classList.add("blank");
  if (character === "\t") cell.classList.add("tab");
  if (/[\u1100-\uffdc]|[\ud800-\udfff]/.test(character) ||
      character.length > 2) cell.classList.add("wide");
  for (let rank = 0; rank < 5; rank++) {
    const place = index * 5 + rank;
    const chance = chances[place] / 65535;
    const guess = make("i", "", visible(page.candidates[guesses[place]]));
    guess.style.backgroundColor = `rgba(var(--guess), ${chance.toFixed(3)})`;
    if (chance > 0.6) guess.style.color = "#ffffff";
    cell.append(guess);
  }
  const bits = page.bits[index];
  const said = bits === null ? "?" : bits.toFixed(bits < 9.95 ? 1 : 0);
  cell.append(make("u", bits >= 4 ? "surprised" : "", said));
  return cell;
}

function makeText() {
  const text = find(".text");
  let line = null;
  for (let index = 0, number = 0; index < T; index++) {
    if (!line) {
      const row = make("div", "line");
      row.append(make("span", "number", ++number));
      line = row.appendChild(make("span", "characters"));
      text.append(row);
    }
    cells.push(line.appendChild(makeCell(index)));
    if (page.characters[index] === "\n") line = null;
  }
}

function paint() {
  const { unit } = shown;
  const row = activations.subarray(unit * T, (unit + 1) * T);
  const largest = page.scales[unit];
  const unitScale = (shown.own ? 1 : largest) / 127;
  const chosen = bestProbe(unit);
  const marks = shown.marks && shown.probe >= 0 ? shown.probe * T : -1;
  cells.forEach((cell, index) => {
    cell.firstChild.style.backgroundColor = color(row[index] * unitScale);
    const mark = marks < 0 ? 0 : values[marks + index] / 255;
    cell.classList.toggle("mark", mark > 0);
    cell.style.setProperty("--mark", mark.toFixed(2));
  });
  const range = shown.own ? largest : 1;
  find(".scale .low").textContent = signed(-range);
  find(".scale .high").textContent = signed(range);
  find("#layer").value = layerOf(unit);
  find("#unit").value = unit;
  describe(unit, chosen);
  for (const button of document.querySelectorAll(".units button"))
    button.classList.toggle("chosen", Number(button.dataset.unit) === unit);
  document.querySelectorAll(".probe").forEach((element, index) =>
    element.classList.toggle("chosen", index === shown.probe));
  history.replaceState(null, "", link());
}

function describe(unit, chosen) {
  const line = find(".finding");
  const name = nameOf(unit);
  line.replaceChildren(make("b", "", name[0].toUpperCase() + name.slice(1)));
  if (chosen < 0) {
    line.append(" follows none of the probes better than on shuffled text.");
    return;
  }
  const probe = probes[chosen];
  line.append(" follows ", make("b", "", probe.title), ": correlation ",
    `${signed(score(chosen, unit))}, where 99 % of the units reach at most ` +
    `${probe.threshold.toFixed(2)} on shuffled text.`);
  if (shown.marks && shown.probe >= 0)
    line.append(` Underlined: ${probes[shown.probe].title}.`);
}

function choose(unit, probe) {
  shown.unit = (unit + N) % N;
  shown.probe = probe === undefined ? bestProbe(shown.unit) : probe;
  if (find("#unit").dataset.layer !== String(layerOf(shown.unit))) listUnits();
  paint();
}

function listUnits() {
  const list = find("#unit");
  const layer = layerOf(shown.unit);
  list.dataset.layer = layer;
  list.replaceChildren();
  for (let within = 0; within < page.units; within++) {
    const unit = layer * page.units + within;
    const probe = bestProbe(unit);
    const option = make("option", "", `${within + 1}` + (probe < 0 ? "" :
      ` \u00b7 ${probes[probe].title} ${signed(score(probe, unit))}`));
    option.value = unit;
    list.append(option);
  }
}

function point(index) {
  const box = find(".pointer");
  const bits = page.bits[index];
  const value = activations[shown.unit * T + index] / 127 *
    page.scales[shown.unit];
  box.replaceChildren(make("p", "", `\u201c${visible(page.characters[index])}` +
    `\u201d, character ${index + 1}: ${bits === null ?
      "unknown to the model" : `${bits.toFixed(2)} bits of surprise`}, ` +
    `activation ${signed(value)}`));
  const table = box.appendChild(make("table"));
  for (let place = index * 5; place < index * 5 + 5; place++) {
    const row = table.insertRow();
    const chance = chances[place] / 65535;
    row.insertCell().append(make("code", "",
      visible(page.candidates[guesses[place]])));
    row.insertCell().textContent = `${(chance * 100).toFixed(1)} %`;
    const meter = row.insertCell().appendChild(make("meter"));
    meter.value = chance;
  }
}

// The magnitudes of a probe's scores: of the text above, the control below.
function strip(index) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 320 16");
  const add = (name, d) => {
    const path = document.createElementNS(space, "path");
    path.setAttribute("class", name);
    path.setAttribute("d", d);
    svg.append(path);
  };
  const x = (value) => (4 + 312 * Math.abs(value)).toFixed(1);
  const dots = (values, y) => {
    let d = "";
    for (let unit = 0; unit < N; unit++)
      d += `M${x(values(unit))} ${y + unit * 7 % 5 * 0.6}h0`;
    return d;
  };
  add("axis", "M4 8H316");
  add("control", dots((unit) => control[index * N + unit] / FULL, 10.8));
  add("units", dots((unit) => score(index, unit), 2.8));
  add("threshold", `M${x(probes[index].threshold)} 0V16`);
  return svg;
}

function makeProbes() {
  probes.forEach((probe, index) => {
    const box = make("div", "probe" + (probe.present ? "" : " absent"));
    box.title = probe.description;
    const header = box.appendChild(make("header"));
    header.append(make("span", "name", probe.title));
    header.append(make("span", "muted small", !probe.present ?
      "not in this text" : `${probe.count} units above ` +
      probe.threshold.toFixed(2)));
    if (probe.present) {
      box.append(strip(index));
      const units = box.appendChild(make("div", "units"));
      if (!probe.best.length)
        units.append(make("span", "muted small", "no unit follows it"));
      for (const unit of probe.best) {
        const button = make("button", "", `${layerOf(unit) + 1}:` +
          `${withinLayer(unit) + 1} ${signed(score(index, unit))}`);
        button.dataset.unit = unit;
        button.title = nameOf(unit);
        button.addEventListener("click", () => choose(unit, index));
        units.append(button);
      }
    }
    find(".probes").append(box);
  });
}

// The named units, each once, with the first probe that names it.
const named = [];
probes.forEach((probe, index) => {
  for (const unit of probe.best) {
    if (!named.some(([other]) => other === unit)) named.push([unit, index]);
  }
});

function step(places) {
  if (!named.length) return;
  const at = named.findIndex(([unit]) => unit === shown.unit);
  const next = at < 0 ? 0 : (at + places + named.length) % named.length;
  choose(...named[next]);
}

function toggle(name) {
  shown[name] = !shown[name];
  apply();
}

function apply() {
  find(".text").classList.toggle("plain", shown.plain);
  find("#plain").checked = !shown.plain;
  find("#marks").checked = shown.marks;
  find("#own").checked = shown.own;
  paint();
}

function link() {
  const { unit } = shown;
  return `#unit=${layerOf(unit) + 1}:${withinLayer(unit) + 1}` +
    (shown.plain ? "&plain" : "");
}

function follow() {
  const match = /unit=(\d+):(\d+)/.exec(location.hash);
  if (match) {
    const unit = (match[1] - 1) * page.units + Number(match[2]) - 1;
    if (unit >= 0 && unit < N) shown.unit = unit;
  }
  shown.plain = /\bplain\b/.test(location.hash);
}

const keys = {
  ArrowRight: () => choose(shown.unit + 1),
  ArrowLeft: () => choose(shown.unit - 1),
  l: () => choose(shown.unit + page.units),
  L: () => choose(shown.unit - page.units),
  n: () => step(1),
  p: () => step(-1),
  g: () => toggle("plain"),
  m: () => toggle("marks"),
  s: () => toggle("own"),
};

document.addEventListener("keydown", (event) => {
  const other = event.ctrlKey || event.metaKey || event.altKey;
  if (other || !(event.key in keys)) return;
  // A list that has the focus goes through its own entries by itself.
  if (event.target.tagName === "SELECT") return;
  event.preventDefault();
  keys[event.key]();
});

function main() {
  for (let layer = 0; layer < page.layers; layer++) {
    const option = make("option", "", `layer ${layer + 1}`);
    option.value = layer;
    find("#layer").append(option);
  }
  find(".layer").hidden = page.layers === 1;
  makeText();
  makeProbes();
  find("#layer").addEventListener("change", (event) =>
    choose(Number(event.target.value) * page.units + withinLayer(shown.unit)));
  find("#unit").addEventListener("change", (event) =>
    choose(Number(event.target.value)));
  find("#previous").addEventListener("click", () => choose(shown.unit - 1));
  find("#next").addEventListener("click", () => choose(shown.unit + 1));
  for (const name of ["plain", "marks", "own"])
    find(`#${name}`).addEventListener("change", () => toggle(name));
  find(".text").addEventListener("pointerover", (event) => {
    const cell = event.target.closest(".character");
    if (cell) point(Number(cell.dataset.index));
  });
  addEventListener("hashchange", () => { follow(); apply(); });
  follow();
  choose(shown.unit);
  apply();
}

main();

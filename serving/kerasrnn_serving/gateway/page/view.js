// Shows a text's characters, moves about in them, and lists alternatives.

import { bits } from "./text.js";

const LIMITS = [0.5, 1.5, 2.5, 3.5, 5, 7];
const NAMES = { "\n": "new line", " ": "space", "\t": "tab" };

export function nameOf(text) {
  return NAMES[text] || text;
}

function classOf(character) {
  const surprise = bits(character);
  const level = surprise === null ? 0
    : LIMITS.filter((limit) => surprise >= limit).length;
  return `s${level}${character.given ? " given" : ""}`;
}

export class View {
  // `choose(index, text)` is called when an alternative is chosen; without
  // it they are only shown.
  constructor(title, choose) {
    this.choose = choose;
    this.characters = [];
    this.here = -1;
    this.element = document.createElement("article");
    this.element.className = "text";
    const heading = document.createElement("h2");
    heading.textContent = title;
    this.box = document.createElement("div");
    this.box.className = "characters";
    this.box.tabIndex = 0;
    this.box.setAttribute("role", "group");
    this.box.setAttribute("aria-label", `${title}. Arrow keys move from `
      + "character to character, Enter lists alternatives.");
    this.figures = document.createElement("p");
    this.figures.className = "figures";
    this.spoken = document.createElement("p");
    this.spoken.className = "figures";
    this.spoken.setAttribute("aria-live", "polite");
    this.element.append(heading, this.box, this.figures, this.spoken);
    this.box.addEventListener("click", (event) => this.point(event));
    this.box.addEventListener("mouseover", (event) => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.point(event, true), 350);
    });
    this.box.addEventListener("mouseleave", () => clearTimeout(this.timer));
    this.box.addEventListener("keydown", (event) => this.key(event));
  }

  // Shows `characters`, of which those before `start` are shown already.
  show(characters, start = 0) {
    const follows = this.box.scrollTop + this.box.clientHeight
      >= this.box.scrollHeight - 20;
    this.characters = characters;
    while (this.box.childNodes.length > start) this.box.lastChild.remove();
    const spans = characters.slice(start).map((one) => {
      const span = document.createElement("span");
      span.textContent = one.text;
      span.className = classOf(one);
      return span;
    });
    this.box.append(...spans);
    if (follows) this.box.scrollTop = this.box.scrollHeight;
    const scored = characters.filter((one) => one.logProb !== null);
    const sum = scored.reduce((total, one) => total + bits(one), 0);
    const count = `${characters.length} characters`;
    this.figures.textContent = scored.length
      ? `${count}, ${(sum / scored.length).toFixed(3)} bits per character`
      : count;
  }

  working(is) {
    this.element.classList.toggle("writing", is);
  }

  point(event, hovering = false) {
    const index = [...this.box.childNodes].indexOf(event.target);
    if (index >= 0) {
      this.moveTo(index);
      this.open(!hovering);
    }
  }

  key(event) {
    const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 20, ArrowUp: -20 };
    if (event.key in moves && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      const end = this.characters.length - 1;
      this.moveTo(Math.max(0, Math.min(end, this.here + moves[event.key])));
    } else if (event.key === "Enter" && this.here >= 0) {
      event.preventDefault();
      this.open(true);
    }
  }

  moveTo(index) {
    closeAlternatives();
    const before = this.box.childNodes[this.here];
    if (before) before.classList.remove("here");
    this.here = index;
    const span = this.box.childNodes[index];
    if (!span) return;
    span.classList.add("here");
    span.scrollIntoView({ block: "nearest" });
    const one = this.characters[index];
    const surprise = bits(one);
    this.spoken.textContent = `${index + 1}: ${nameOf(one.text)}, `
      + (surprise === null ? "surprise unknown"
        : `${surprise.toFixed(1)} bits of surprise`);
  }

  open(focus) {
    const span = this.box.childNodes[this.here];
    const one = this.characters[this.here];
    if (!span || !one.top) {
      if (span) this.spoken.textContent += "; no alternatives are known here";
      return;
    }
    const index = this.here;
    const choose = this.choose && ((text) => {
      closeAlternatives();
      this.choose(index, text);
    });
    openAlternatives(span, one, choose, this.box, focus);
  }
}

const popup = document.getElementById("alternatives");
let returnTo = null; // who has the focus once the list is closed

function openAlternatives(span, one, choose, box, focus) {
  const heading = document.createElement("p");
  const surprise = bits(one);
  heading.textContent = surprise === null ? "Likely here:"
    : `${nameOf(one.text)}: ${surprise.toFixed(1)} bits. Likely here:`;
  const buttons = Object.entries(one.top).map(([text, logProb]) => {
    const button = document.createElement("button");
    button.type = "button";
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = nameOf(text);
    const share = document.createElement("span");
    share.textContent = `${(100 * Math.exp(logProb)).toFixed(1)} %`;
    button.append(name, share);
    if (text === one.text) button.classList.add("chosen");
    button.disabled = !choose || text.startsWith("bytes:");
    button.addEventListener("click", () => choose(text));
    return button;
  });
  popup.replaceChildren(heading, ...buttons);
  popup.hidden = false;
  const place = span.getBoundingClientRect();
  const most = document.documentElement.clientWidth - popup.offsetWidth - 8;
  const left = Math.max(8, Math.min(place.left, most));
  let top = place.bottom + 4;
  if (top + popup.offsetHeight > window.innerHeight) {
    top = Math.max(8, place.top - popup.offsetHeight - 4);
  }
  popup.style.left = `${left + window.scrollX}px`;
  popup.style.top = `${top + window.scrollY}px`;
  returnTo = box;
  // Where nothing can be chosen, the list itself is read.
  const first = buttons.find((button) => !button.disabled) || popup;
  if (focus) first.focus({ preventScroll: true });
}

export function closeAlternatives() {
  const focused = popup.contains(document.activeElement);
  popup.hidden = true;
  popup.replaceChildren();
  if (focused) returnTo.focus({ preventScroll: true });
}

popup.addEventListener("keydown", (event) => {
  const buttons = [...popup.querySelectorAll("button")];
  const enabled = buttons.filter((button) => !button.disabled);
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && enabled.length) {
    event.preventDefault();
    const index = enabled.indexOf(document.activeElement) + step;
    enabled[(index + enabled.length) % enabled.length].focus();
  } else if (/^[1-5]$/.test(event.key) && buttons[event.key - 1]) {
    buttons[event.key - 1].click();
  }
});
// The list may have been opened by pointing, with the focus anywhere.
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeAlternatives();
});
document.addEventListener("pointerdown", (event) => {
  if (!popup.contains(event.target)) closeAlternatives();
});

// Scores a text that the reader gives: its figures and its surprising places.

import { complete } from "./api.js";
import { bits, charactersOf } from "./text.js";
import { View, nameOf } from "./view.js";

const PLACES = 10;

export function startScoring({ byId, notices, askForKey }) {
  let last = new AbortController();
  byId("score-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    last.abort(); // Its figures would replace those of the newer text.
    const { signal } = last = new AbortController();
    const prompt = byId("scored").value;
    if (!prompt) {
      notices.begin().end("There is no text to score yet.", true);
      return;
    }
    const notice = notices.begin("Scoring…");
    const fields = { prompt, echo: true, max_tokens: 0 };
    try {
      const choice = await scored(fields, signal);
      byId("scores").replaceChildren(...elements(choice));
    } catch (error) {
      if (error.name === "AbortError") return;
      notice.end(error.message, true);
      if (error.status === 401) askForKey();
    } finally {
      notice.end();
    }
  });
}

async function scored(fields, signal) {
  try {
    return await complete({ ...fields, logprobs: 5 }, signal);
  } catch (error) {
    if (error.code !== "no_alternatives") throw error;
    return complete({ ...fields, logprobs: 0 }, signal);
  }
}

function elements(choice) {
  const characters = charactersOf(choice).map((one) => (
    { ...one, given: false }));
  const view = new View("Score", null);
  view.show(characters);
  const unknown = characters.filter((one) => one.logProb === null).length;
  if (unknown) {
    view.figures.textContent += `; ${unknown} that the model does not know`;
  }
  return [view.element, ...surprisingPlaces(characters, view)];
}

function surprisingPlaces(characters, view) {
  const places = characters.map((one, index) => [bits(one), index])
    .filter(([surprise]) => surprise !== null)
    .sort(([one], [other]) => other - one)
    .slice(0, PLACES);
  if (!places.length) return [];
  const heading = document.createElement("h2");
  heading.textContent = "The most surprising places";
  const list = document.createElement("ol");
  list.className = "places";
  for (const [surprise, index] of places) {
    const entry = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `${around(characters, index)}  `
      + `(${nameOf(characters[index].text)}: ${surprise.toFixed(1)} bits)`;
    button.addEventListener("click", () => {
      view.box.focus();
      view.moveTo(index);
    });
    entry.append(button);
    list.append(entry);
  }
  return [heading, list];
}

function around(characters, index) {
  const part = characters.slice(Math.max(0, index - 12), index + 5);
  return part.map((one) => one.text).join("").replaceAll("\n", "⏎");
}

// A text and how it came about: what was read, what the model wrote after it.
//
// A text is a list of segments {read, write, temperature, top_p}: `read` is
// given to the model, then `write` characters are drawn. The same seed and
// segments give the same text again, so that they are all that a link holds.

import { complete, stream } from "./api.js";

// The model's server has no list of alternatives if it was exported so.
let alternatives = 5;

export class Text {
  constructor(seed) {
    this.seed = seed;
    this.segments = [];
    // {text, given, logProb, top, units}: units are what the API counts.
    this.characters = [];
    // {at, state}: the model's state before character `at`.
    this.states = [{ at: 0, state: "" }];
    this.next = null; // the likeliest characters after the end
    this.version = "";
    this.reread = 0;
  }

  get string() {
    return textOf(this.characters);
  }

  get end() {
    return this.states[this.states.length - 1];
  }

  // Reads `read` and writes up to `length` characters; calls `changed` with
  // the index of the first new character after each piece.
  async write(read, length, parameters, signal, changed) {
    // Where the last piece came without its state, it is written again.
    this.cut(this.end.at);
    const last = this.segments[this.segments.length - 1];
    let segment = last;
    if (!last || read || !sameParameters(last, parameters)) {
      segment = { read, write: 0, start: this.characters.length, ...parameters };
      this.segments.push(segment);
    }
    const fields = {
      prompt: read,
      state: this.end.state,
      seed: this.seed,
      max_tokens: length,
      echo: read !== "",
      stream_options: { include_states: true },
      ...parameters,
    };
    let given = read !== "";
    for await (const { choice, version } of this.events(fields, signal)) {
      const start = this.characters.length;
      this.add(choice, given);
      if (!given) {
        segment.write += units(this.characters.slice(start));
        this.version = version;
      }
      given = false;
      if (choice.state) {
        this.states.push({ at: this.characters.length, state: choice.state });
      }
      changed(start);
    }
  }

  // What the API counts of all that the model has written. It stays the same
  // when another version reads the text.
  get written() {
    return this.segments.reduce((sum, one) => sum + one.write, this.reread);
  }

  // Returns what the model was given last and may not have read, and forgets
  // that it was given.
  takeUnread() {
    const segment = last(this.segments);
    if (!segment || !segment.read || this.end.at > segment.start) {
      this.cut(this.end.at);
      return "";
    }
    this.segments.pop();
    this.characters.length = segment.start;
    return segment.read;
  }

  async *events(fields, signal) {
    try {
      yield* stream({ ...fields, logprobs: alternatives }, signal);
    } catch (error) {
      if (error.code !== "no_alternatives" || !alternatives) throw error;
      alternatives = 0;
      yield* stream({ ...fields, logprobs: 0 }, signal);
    }
  }

  // Adds what a choice of the API has.
  add(choice, given) {
    const found = charactersOf(choice);
    if (found.length && this.next && !found[0].top) found[0].top = this.next;
    this.next = choice.logprobs && choice.logprobs.next_top_logprobs;
    for (const one of found) this.characters.push({ ...one, given });
  }

  // Forgets the characters from `at` on.
  cut(at) {
    if (at >= this.characters.length) return;
    this.next = this.characters[at].top;
    this.characters.length = at;
    this.states = this.states.filter((one) => one.at <= at);
    while (this.segments.length && last(this.segments).start > at) {
      this.segments.pop();
    }
    const segment = last(this.segments);
    if (!segment) return;
    const kept = this.characters.slice(segment.start);
    const read = [...segment.read].length;
    segment.read = [...segment.read].slice(0, kept.length).join("");
    segment.write = units(kept.slice(read));
  }

  // Cuts the text before character `at`, so that another one can follow.
  // Returns what has to be read before that one.
  async cutForBranch(at, signal) {
    const index = this.segments.findLastIndex((one) => one.start <= at);
    const segment = this.segments[index];
    const read = [...segment.read];
    const offset = at - segment.start;
    const startState = last(
      this.states.filter((one) => one.at <= segment.start));
    if (offset < read.length) {
      // Within what was given: it is given again, up to there.
      this.cut(at);
      this.segments.splice(index);
      this.states = this.states.filter((one) => one.at <= startState.at);
      this.characters.length = startState.at;
      this.next = null;
      return read.slice(0, offset).join("");
    }
    const from = last(this.states.filter((one) => one.at <= at));
    if (from.at < at) {
      // The same seed writes the same characters again, to be where they end.
      const inside = from.at >= segment.start + read.length;
      const start = inside ? from : startState;
      const again = this.characters.slice(
        inside ? from.at : segment.start + read.length, at);
      const state = await stateAfter(again, {
        prompt: inside ? "" : segment.read,
        state: start.state,
        seed: this.seed,
        temperature: segment.temperature,
        top_p: segment.top_p,
      }, signal);
      this.cut(at);
      if (state === null) return this.forgetStates();
      this.states.push({ at, state });
    } else {
      this.cut(at);
    }
    return "";
  }

  // Has the model read all of the text, where its state is of no use any
  // more: another version has come.
  forgetStates() {
    const segment = last(this.segments);
    // What was given last is shown once it has been read.
    const unread = segment && this.characters.length === segment.start
      ? segment.read : "";
    const read = this.string + unread;
    this.reread = this.written;
    this.segments = [];
    this.characters = [];
    this.states = [{ at: 0, state: "" }];
    this.next = null;
    return read;
  }
}

// Has the model write characters again; returns its state after them, or null
// if it does not write them: another version has come.
async function stateAfter(characters, fields, signal) {
  try {
    const choice = await complete(
      { ...fields, max_tokens: units(characters) }, signal);
    return choice.text === textOf(characters) ? choice.state : null;
  } catch (error) {
    if (!error.replaced) throw error;
    return null;
  }
}

export function bits(character) {
  return character.logProb === null ? null : -character.logProb / Math.LN2;
}

// Returns the characters of a choice; some have several tokens, their bytes.
export function charactersOf(choice) {
  const texts = [...choice.text];
  const found = texts.map((text) => (
    { text, logProb: null, top: null, units: 1 }));
  const log = choice.logprobs;
  if (!log) return found;
  const first = log.text_offset[0];
  let previous = -1;
  log.tokens.forEach((token, index) => {
    const place = log.text_offset[index] - first;
    const one = found[place];
    if (!one) return;
    const logProb = log.token_logprobs[index];
    if (place === previous) {
      one.logProb = logProb === null ? null : one.logProb + logProb;
      one.units += 1;
    } else {
      Object.assign(one, { logProb, top: log.top_logprobs[index] });
    }
    previous = place;
  });
  return found;
}

function textOf(characters) {
  return characters.map((one) => one.text).join("");
}

function units(characters) {
  return characters.reduce((sum, one) => sum + one.units, 0);
}

function sameParameters(segment, { temperature, top_p }) {
  return segment.temperature === temperature && segment.top_p === top_p;
}

function last(list) {
  return list[list.length - 1];
}

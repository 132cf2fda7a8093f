// What is on the screen as a link, as a command and as a program.

import { storedKey } from "./api.js";

// Returns the part of an address after "#".
export function encode(texts, colours) {
  const fields = {
    version: texts[0].version,
    colours,
    texts: texts.map(({ seed, segments }) => ({
      seed,
      segments: segments.map(({ read, write, temperature, top_p }) => (
        { read, write, temperature, top_p })),
    })),
  };
  const bytes = new TextEncoder().encode(JSON.stringify(fields));
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte));
  return btoa(letters.join("")).replaceAll("+", "-").replaceAll("/", "_")
    .replaceAll("=", "");
}

// Returns what `encode` was given, or null for any other address.
export function decode(hash) {
  try {
    const letters = atob(hash.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(letters, (one) => one.charCodeAt(0));
    const fields = JSON.parse(new TextDecoder().decode(bytes));
    const whole = Array.isArray(fields.texts) && fields.texts.length
      && fields.texts.length <= 4
      && fields.texts.every((one) => Number.isSafeInteger(one.seed)
        && Array.isArray(one.segments) && one.segments.every(isSegment));
    return whole ? fields : null;
  } catch {
    return null;
  }
}

function isSegment({ read, write, temperature, top_p }) {
  return typeof read === "string" && Number.isSafeInteger(write)
    && typeof temperature === "number" && typeof top_p === "number";
}

export function curl(fields) {
  const json = JSON.stringify(fields, null, 1);
  const key = storedKey() ? " \\\n  -H \"Authorization: Bearer $KEY\"" : "";
  return `curl ${location.origin}/v1/completions \\\n`
    + `  -H 'Content-Type: application/json'${key} \\\n`
    + `  -d '${json.replaceAll("'", "'\\''")}'\n`;
}

export function python(fields) {
  const key = storedKey() ? "os.environ[\"KEY\"]" : "\"none\"";
  const lines = Object.entries(fields).map(
    ([name, value]) => `    ${name}=${JSON.stringify(value)},\n`);
  return (storedKey() ? "import os\n\n" : "")
    + "from openai import OpenAI\n\n"
    + `client = OpenAI(base_url="${location.origin}/v1", api_key=${key})\n`
    + `stream = client.completions.create(\n${lines.join("")}`
    + "    stream=True,\n)\n"
    + "for event in stream:\n"
    + "    print(event.choices[0].text, end=\"\", flush=True)\n";
}

// Calls of the gateway's API: whole replies, and streams of events.

export class ApiFailure extends Error {
  // `status` is 0 where nobody answered; `code` is the API's word for it.
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }

  // Whether the same request may work later on, unchanged.
  get passes() {
    return [0, 429, 502, 503, 504].includes(this.status);
  }

  // Whether a state is of no use any more: another version has come.
  get replaced() {
    return ["invalid_state", "version_gone"].includes(this.code);
  }

  // What to say while it is asked again.
  get waiting() {
    return `${this.message} Waiting for the server…`;
  }
}

// Where site data is blocked, the key lasts as long as the page.
let key = "";
try {
  key = sessionStorage.getItem("key") || "";
} catch { /* There is none. */ }

export function storedKey() {
  return key;
}

export function storeKey(given) {
  key = given;
  try {
    sessionStorage.setItem("key", given);
  } catch { /* It is asked for again next time. */ }
}

async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if (storedKey()) headers.Authorization = `Bearer ${storedKey()}`;
  const options = body && { method: "POST", body: JSON.stringify(body) };
  let reply;
  try {
    reply = await fetch(path, { ...options, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiFailure("The gateway does not answer.", 0, "no_gateway");
  }
  if (!reply.ok) throw await failure(reply);
  return reply;
}

async function failure(reply) {
  let body;
  try {
    body = await reply.json();
  } catch (reason) {
    if (reason.name === "AbortError") throw reason;
  }
  // Something in between may have answered, in words of its own.
  const { message, code } = body?.error ?? {};
  const said = typeof message === "string" && message;
  return new ApiFailure(
    said || `The gateway answered ${reply.status}.`, reply.status, code);
}

async function whole(reply) {
  try {
    return await reply.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiFailure("The connection broke.", 0, "broken");
  }
}

export async function get(path, signal) {
  return whole(await ask(path, null, signal));
}

export async function complete(fields, signal) {
  const reply = await ask("/v1/completions", fields, signal);
  return (await whole(reply)).choices[0];
}

// Yields {choice, version} of each event.
export async function* stream(fields, signal) {
  const reply = await ask(
    "/v1/completions", { ...fields, stream: true }, signal);
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiFailure("The connection broke.", 0, "broken");
    }
    if (part.done) break;
    const events = (pending + part.value).split("\n\n");
    pending = events.pop();
    for (const event of events) {
      const data = event.slice("data: ".length);
      if (data === "[DONE]") return;
      const fields = JSON.parse(data);
      if (fields.error) {
        throw new ApiFailure(fields.error.message, 503, fields.error.code);
      }
      const version = (fields.system_fingerprint || "").slice(8);
      yield { choice: fields.choices[0], version };
    }
  }
  throw new ApiFailure("The connection broke.", 0, "broken");
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", stop, { once: true });
  });
}

// Asks for a path until the answer comes: for "/readyz" it does once the
// model's server is there.
export async function untilAnswered(path, signal) {
  for (;;) {
    await sleep(1000, signal);
    try {
      return await get(path, signal);
    } catch (error) {
      if (error.name === "AbortError") throw error;
    }
  }
}

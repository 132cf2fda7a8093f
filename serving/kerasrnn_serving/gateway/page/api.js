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
}

export function storedKey() {
  return sessionStorage.getItem("key") || "";
}

export function storeKey(key) {
  sessionStorage.setItem("key", key);
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
  let error = { message: `The gateway answered ${reply.status}.` };
  try {
    error = (await reply.json()).error;
  } catch {
    // Something in between answered, in words of its own.
  }
  return new ApiFailure(error.message, reply.status, error.code);
}

export async function get(path) {
  return (await ask(path)).json();
}

export async function complete(fields, signal) {
  const reply = await ask("/v1/completions", fields, signal);
  return (await reply.json()).choices[0];
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

// Waits until the model's server answers.
export async function untilReady(signal) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (signal.aborted) throw new DOMException("stopped", "AbortError");
    try {
      return await get("/readyz");
    } catch (error) {
      if (error.name === "AbortError") throw error;
    }
  }
}

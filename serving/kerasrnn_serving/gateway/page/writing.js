// Writes texts, however often the model's server goes away meanwhile.

import { get, untilAnswered } from "./api.js";

// After so long without a piece the page looks whether the server is there.
const QUIET = 3000;

// `most()` is how many characters one request may write.
// A task is {signal, notice}: what ends it, and where it says how it goes.
export function startWriting({ showState, most }) {
  // Waits for the server if that is why something failed.
  async function untilBack(error, { signal, notice }) {
    signal.throwIfAborted();
    if (!error.passes) throw error;
    notice.say(error.waiting, true);
    await untilAnswered("/readyz", signal);
  }

  // Does what can be done again, until a server that went away is back.
  async function persist(attempt, task) {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        await untilBack(error, task);
      }
    }
  }

  // Looks after the server when nothing comes; `renew` says that it did.
  function watchServer({ signal, notice }) {
    let timer;
    let over = false;
    const look = async () => {
      try {
        await get("/readyz", signal);
      } catch (error) {
        if (!over && !signal.aborted) notice.say(error.waiting, true);
      }
    };
    const renew = () => {
      clearTimeout(timer);
      timer = setTimeout(look, QUIET);
    };
    const end = () => {
      over = true;
      clearTimeout(timer);
    };
    renew();
    return { renew, end };
  }

  // Has the model read `read` and write `wanted` characters, in parts.
  async function writeParts(sample, read, wanted, given, task, changed) {
    const { text } = sample;
    const { signal, notice } = task;
    const before = text.written;
    const left = () => wanted - (text.written - before);
    let restartedAt = -1;
    for (;;) {
      try {
        let had;
        do {
          had = text.written;
          const part = Math.min(left(), most());
          await text.write(read, part, given, signal, changed);
          read = "";
        } while (left() > 0 && text.written > had);
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (error.replaced && text.version) {
          // Whoever got nowhere since the last time does not ask at once.
          if (text.written === restartedAt) {
            await untilAnswered("/readyz", signal);
          }
          restartedAt = text.written;
          read = text.forgetStates();
          notice.say("A new version of the model has read the text so far.");
        } else {
          await untilBack(error, task);
          read = text.takeUnread();
        }
        if (left() <= 0) return;
      }
    }
  }

  // Writes, and continues once a server that went away is back.
  async function write(sample, read, wanted, given, task) {
    const { text, view } = sample;
    const watch = watchServer(task);
    const changed = (first) => {
      watch.renew();
      if (task.notice.trouble) task.notice.say("Writing…");
      view.show(text.characters, first);
      showState();
    };
    try {
      await writeParts(sample, read, wanted, given, task, changed);
    } finally {
      watch.end();
      view.show(text.characters);
    }
  }

  return { write, persist };
}

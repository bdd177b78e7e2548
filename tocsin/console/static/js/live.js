// What happens, as it happens: one stream for the whole page, told in batches to whoever asked for it.

import { useEffect, useRef } from "./lib.js";
import { createStore } from "./store.js";

/** Milliseconds between two batches: each costs a drawing, and eyes read no faster. */
const BATCH = 250;

/** A hidden page stops listening after so many milliseconds, and looks again when it is seen. */
const HIDDEN = 30_000;

const KINDS = ["execution", "progress", "task", "slots", "node", "gap", "end"];

/** What is asked for: of what happens in a quarter of a second the newest about each execution, and a sign of life every ten seconds. */
const STREAM = "/api/events?coalesce=250ms&heartbeat=10";

/** A stream that says nothing at all for so many milliseconds is dead, whatever the browser thinks of it. */
const DEAD = 30_000;

/** "off", "connecting", "live" or "lost", and how many events came in the last second. */
export const connection = createStore({ state: "off", rate: 0 });

const listeners = new Set();
let source = null;
let waiting = [];
let timer = null;
let hiding = null;
let counted = 0;
let heard = 0;

function deliver() {
  timer = null;
  const batch = waiting;
  waiting = [];
  for (const listener of [...listeners]) listener(batch);
}

function take(kind, data) {
  counted += 1 + (data.folded ?? 0);
  heard = performance.now();
  waiting.push({ kind, ...data });
  timer ??= setTimeout(deliver, BATCH);
}

function state(name) {
  connection.set({ ...connection.get(), state: name });
}

function open() {
  if (source) return;
  state("connecting");
  heard = performance.now();
  source = new EventSource(STREAM);
  source.addEventListener("heartbeat", () => (heard = performance.now()));
  source.onopen = () => {
    // Between two streams anything may have happened: everybody looks again.
    take("again", {});
    state("live");
  };
  source.onerror = () => {
    state("lost");
    if (source.readyState === EventSource.CLOSED) {
      close();
      setTimeout(() => looking && !document.hidden && open(), 2_000);
    }
  };
  for (const kind of KINDS) {
    source.addEventListener(kind, (event) => {
      try {
        take(kind, JSON.parse(event.data || "{}"));
      } catch {
        take("gap", {});
      }
    });
  }
}

function close() {
  source?.close();
  source = null;
}

function look() {
  if (counted !== connection.get().rate) connection.set({ ...connection.get(), rate: counted });
  counted = 0;
  if (source && performance.now() - heard > DEAD) {
    close();
    open();
  }
}

function seen() {
  clearTimeout(hiding);
  if (!document.hidden) open();
  else
    hiding = setTimeout(() => {
      close();
      state("off");
    }, HIDDEN);
}

let looking = null;

export function startLive() {
  if (looking) return;
  looking = setInterval(look, 1_000);
  document.addEventListener("visibilitychange", seen);
  open();
}

export function stopLive() {
  clearInterval(looking);
  looking = null;
  document.removeEventListener("visibilitychange", seen);
  clearTimeout(hiding);
  close();
  state("off");
}

/** Whether events may have been lost before a batch, so that what is shown has to be read again. */
export const isBroken = (batch) => batch.some((event) => event.kind === "gap" || event.kind === "again");

/** Be told each batch of events, while the part of the page is there. */
export function useLive(listener) {
  const newest = useRef(listener);
  newest.current = listener;
  useEffect(() => {
    const told = (batch) => newest.current(batch);
    listeners.add(told);
    return () => listeners.delete(told);
  }, []);
}

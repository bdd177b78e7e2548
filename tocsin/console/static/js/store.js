// Values that several parts of the page share: who uses one is drawn anew when it changes.

import { useEffect, useReducer } from "./lib.js";

/** A value with `get`, `set` and `subscribe`. */
export function createStore(value) {
  const listeners = new Set();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener(value);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The value of a store, as it is now. */
export function useStore(store) {
  const [, redraw] = useReducer((count) => count + 1, 0);
  useEffect(() => store.subscribe(redraw), [store]);
  return store.get();
}

/** A store that the browser remembers. `allowed`: the values there may be; the first one is the default. */
export function createSetting(name, allowed) {
  const key = `tocsin.${name}`;
  let known = null;
  try {
    known = localStorage.getItem(key);
  } catch {
    // No storage: what was set is forgotten with the page.
  }
  const store = createStore(allowed.includes(known) ? known : allowed[0]);
  store.subscribe((value) => {
    try {
      localStorage.setItem(key, value);
    } catch {
      // As above.
    }
  });
  return { ...store, allowed, next: () => store.set(allowed[(allowed.indexOf(store.get()) + 1) % allowed.length]) };
}

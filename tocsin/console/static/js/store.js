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
  const value = store.get();
  useEffect(() => {
    // It may have changed between the drawing and now.
    if (!Object.is(store.get(), value)) redraw();
    return store.subscribe(redraw);
  }, [store]);
  return value;
}

/** A store that the browser remembers as JSON. `initial`: the value until one is set, and where what is remembered does not pass `fits`. */
export function createRemembered(name, initial, fits) {
  const key = `tocsin.${name}`;
  const store = createStore(recall(key, initial, fits));
  store.subscribe((value) => {
    try {
      localStorage.setItem(key, JSON.stringify(value));
    } catch {
      // No storage: what was set is forgotten with the page.
    }
  });
  return store;
}

function recall(key, initial, fits) {
  try {
    const known = JSON.parse(localStorage.getItem(key));
    return fits(known) ? known : initial;
  } catch {
    return initial;
  }
}

/** A store that the browser remembers. `allowed`: the values there may be; the first one is the default. */
export function createSetting(name, allowed) {
  const store = createRemembered(name, allowed[0], (known) => allowed.includes(known));
  return { ...store, allowed, next: () => store.set(allowed[(allowed.indexOf(store.get()) + 1) % allowed.length]) };
}

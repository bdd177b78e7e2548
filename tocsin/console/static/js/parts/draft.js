// What one writes into a form, kept through a reload of the page.

import { useEffect, useState } from "../lib.js";
import { revive } from "./form.js";

const keyOf = (name) => `tocsin.draft.${name}`;

function stored(name) {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(name)), revive);
  } catch {
    return null;
  }
}

function store(name, value) {
  try {
    if (value === null) sessionStorage.removeItem(keyOf(name));
    else sessionStorage.setItem(keyOf(name), JSON.stringify(value));
  } catch {
    // No storage, or it is full: the draft lives as long as the page.
  }
}

/** [value, set, forget, whether it was kept from before]. `base` is what it begins with; a draft that was made of another base is kept too. */
export function useDraft(name, base) {
  const [kept] = useState(() => stored(name));
  const [value, setValue] = useState(kept ?? base);
  const [touched, setTouched] = useState(kept !== null);
  useEffect(() => {
    if (touched) store(name, value);
  }, [value, touched]);
  const set = (next) => {
    setTouched(true);
    setValue(next);
  };
  const forget = (next = base) => {
    store(name, null);
    setTouched(false);
    setValue(next);
  };
  return { value, set, forget, kept: kept !== null && touched, touched };
}

// Short words about what was just done, read out to those who do not see them.

import { html } from "../lib.js";
import { createStore, useStore } from "../store.js";

/** Milliseconds that one stays: time to read two lines. Errors stay until they are put away. */
const STAYS = 6_000;

const shown = createStore([]);
let number = 0;

function drop(id) {
  shown.set(shown.get().filter((one) => one.id !== id));
}

/** Say something. `kind`: "good", "bad" or "warn". */
export function say(text, kind = "good") {
  const id = ++number;
  shown.set([...shown.get().slice(-3), { id, text, kind }]);
  if (kind !== "bad") setTimeout(() => drop(id), STAYS);
}

export function Toasts() {
  const all = useStore(shown);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${all.map(
      (one) => html`<div key=${one.id} class=${`note ${one.kind}`}>
        <div class="row spread"><span class="anywhere">${one.text}</span>
        <button class="plain small" aria-label="Put away" onClick=${() => drop(one.id)}>✕</button></div>
      </div>`,
    )}
  </div>`;
}

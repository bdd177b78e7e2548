// A value as JSON, to read and to copy.

import { html } from "../lib.js";
import { count, pretty } from "../format.js";
import { CopyButton } from "./copy.js";

/** Bytes of a value as JSON without blanks. */
export const sizeOf = (value) => new TextEncoder().encode(JSON.stringify(value)).length;

/** `812 bytes`, `1.4 KiB`. */
export const bytes = (number) => (number < 1_024 ? `${count(number)} bytes` : number < 1_048_576 ? `${(number / 1_024).toFixed(1)} KiB` : `${(number / 1_048_576).toFixed(1)} MiB`);

/** A value. `note`: what is said of it beside its size. */
export function Json({ value, note }) {
  const text = pretty(value);
  return html`<div class="stack">
    <div class="row spread"><span class="small dim">${[note, bytes(sizeOf(value))].filter(Boolean).join(" · ")}</span><${CopyButton} text=${text} /></div>
    <pre class="command tall" tabindex="0">${text}</pre>
  </div>`;
}

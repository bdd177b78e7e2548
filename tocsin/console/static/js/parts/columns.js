// Which columns of a table are shown: chosen by whoever looks, and remembered by the browser.

import { html, useState } from "../lib.js";
import { createRemembered, useStore } from "../store.js";
import { Dialog } from "./dialog.js";

const isNames = (known) => Array.isArray(known) && known.every((one) => typeof one === "string");

/** What is remembered of a table's columns: {shown: names or null}. `null`: those that are shown by themselves. */
export const columnSetting = (name) => createRemembered(`columns.${name}`, null, (known) => known === null || isNames(known));

/** Columns {label, usual, always, ...} as they are shown. */
export function chosenColumns(columns, names) {
  return columns.filter((column) => column.always || (names === null ? column.usual : names.includes(column.label)));
}

/** A button with the choice of columns. */
export function ChooseColumns({ columns, setting }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" class="small plain" aria-haspopup="dialog" onClick=${() => setOpen(true)}>Columns</button>
    ${open && html`<${Choice} columns=${columns} setting=${setting} close=${() => setOpen(false)} />`}`;
}

function Choice({ columns, setting, close }) {
  const names = useStore(setting);
  const shown = chosenColumns(columns, names).map((column) => column.label);
  const turn = (label) => setting.set(shown.includes(label) ? shown.filter((one) => one !== label) : [...shown, label]);
  return html`<${Dialog} title="Columns" close=${close}>
    <div class="stack">
      ${columns
        .filter((column) => !column.always)
        .map(
          (column) => html`<label key=${column.label} class="check"><input type="checkbox" checked=${shown.includes(column.label)} onChange=${() => turn(column.label)} />
            <span>${column.label}${column.about && html` <span class="small dim">${column.about}</span>`}</span></label>`,
        )}
    </div>
    <div class="buttons"><button type="button" onClick=${() => setting.set(null)}>As usual</button><button type="button" class="primary" onClick=${close}>Done</button></div>
  <//>`;
}

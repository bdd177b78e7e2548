// One thing to fill in, with its label, its hint and what is wrong with it.

import { classes, html } from "../lib.js";

/** How the fields of a form share what they have: an id from a path, the texts below it. */
const below = (id, wrong, hint) => (wrong || hint) && html`<span id=${`${id}-hint`} class=${wrong ? "wrong" : "hint"}>${wrong || hint}</span>`;

/** The id of the field of a path such as `trigger.any[0].cron`. */
export const idOf = (path) => `field-${path.replaceAll(/[^A-Za-z0-9]+/g, "-")}`;

/** A label with what it is of. `control(common)` makes the input of the attributes that all have. */
export function Labelled({ path, label, hint, wrong, wide, control }) {
  const id = idOf(path);
  const common = { id, "aria-describedby": wrong || hint ? `${id}-hint` : undefined, "aria-invalid": wrong ? "true" : undefined };
  return html`<div class=${classes("field", wide && "span")}><label for=${id}>${label}</label>${control(common)}${below(id, wrong, hint)}</div>`;
}

/** A line of text, or several. `set` gets the text. */
export function TextField({ value, set, placeholder, multiline, list, mono, required, ...about }) {
  const input = (common) => {
    const all = { ...common, value: value ?? "", placeholder, required, onInput: (event) => set(event.target.value) };
    return multiline
      ? html`<textarea ...${all} rows=${multiline} spellcheck=${false}></textarea>`
      : html`<input ...${all} type="text" list=${list} class=${mono ? "mono" : undefined} autocomplete="off" spellcheck=${false} />`;
  };
  return html`<${Labelled} ...${about} control=${input} />`;
}

/** A choice of options: texts, or {value, label}. `none`: what an empty choice is called; without it there is none. */
export function ChoiceField({ value, set, options, none, ...about }) {
  const input = (common) => html`<select ...${common} value=${value ?? ""} onChange=${(event) => set(event.target.value)}>
    ${none !== undefined && html`<option value="">${none}</option>`}
    ${options.map((one) => html`<option value=${one.value ?? one}>${one.label ?? one}</option>`)}
  </select>`;
  return html`<${Labelled} ...${about} control=${input} />`;
}

export function CheckField({ value, set, label, hint, path }) {
  const id = idOf(path);
  return html`<div class="field"><span class="check"><input id=${id} type="checkbox" checked=${Boolean(value)} onChange=${(event) => set(event.target.checked)}
      aria-describedby=${hint ? `${id}-hint` : undefined} /><label for=${id}>${label}</label></span>${below(id, null, hint)}</div>`;
}

/** Values by name, as rows of two. `rows`: [[name, value], ...]. */
export function PairsField({ rows, set, label, hint, wrong, path, names = "Name", values = "Value" }) {
  const change = (at, which, text) => set(rows.map((row, i) => (i === at ? (which ? [row[0], text] : [text, row[1]]) : row)));
  return html`<div class="field span" role="group" aria-label=${label}><span class="label">${label}</span>
    ${rows.map(
      ([name, value], at) => html`<div class="pair" key=${at}>
      <input aria-label=${`${names} ${at + 1}`} placeholder=${names.toLowerCase()} value=${name} autocomplete="off"
        onInput=${(event) => change(at, 0, event.target.value)} />
      <input aria-label=${`${values} ${at + 1}`} placeholder=${values.toLowerCase()} value=${value} autocomplete="off"
        onInput=${(event) => change(at, 1, event.target.value)} />
      <button type="button" class="plain small" aria-label=${`Remove ${name || `row ${at + 1}`}`}
        onClick=${() => set(rows.filter((_, i) => i !== at))}>✕</button></div>`,
    )}
    <div><button type="button" class="small" onClick=${() => set([...rows, ["", ""]])}>Add</button></div>
    ${below(idOf(path), wrong, hint)}</div>`;
}

/** The field that an error of the node names, as a path, and what it says of it. */
export function refusal(error) {
  if (!error) return null;
  const missing = /^missing parameter '([^']+)'/.exec(error.message) ?? /^(?:unknown )?parameter '([^']+)'/.exec(error.message);
  if (missing) return { path: `parameters.${missing[1]}`, text: error.message };
  // Of a calendar: its zone is the only one that it has, so the node does not say where.
  if (/^unknown time zone/.test(error.message)) return { path: "timezone", text: error.message };
  const unknown = /^unknown field '([\w.]+)'/.exec(error.message);
  if (unknown) return { path: unknown[1], text: error.message };
  const named = /^([A-Za-z][\w.[\]]*): (.*)$/s.exec(error.message);
  return named ? { path: named[1], text: named[2] } : { path: "", text: error.message };
}

/** What is wrong with the field of a path: what a refusal says of it, or of what lies in it. `within`: also of its parts. */
export function wrongAt(refused, path, { within = false } = {}) {
  if (!refused) return null;
  const inside = within && (refused.path.startsWith(`${path}.`) || refused.path.startsWith(`${path}[`));
  return refused.path === path || inside ? refused.text : null;
}

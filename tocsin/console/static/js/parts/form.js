// A form made of a JSON Schema: what a handler's annotations say becomes fields. What no field can hold is written as JSON.

import { html, useEffect, useState } from "../lib.js";
import { pretty } from "../format.js";
import { ChoiceField, idOf, PairsField, TextField, wrongAt } from "./field.js";

/** By what a stored text that is no JSON is known again: no parameter has this name. */
const MARK = "\u0000unread";

/** A text that should be JSON and is not: it stays as it was typed, and nothing is sent while there is one. */
export class Unread {
  constructor(text, problem) {
    Object.assign(this, { text, problem });
  }

  toJSON() {
    return { [MARK]: this.text, problem: this.problem };
  }
}

/** For `JSON.parse`: what was an `Unread` is one again. */
export const revive = (_key, value) => (value !== null && typeof value === "object" && MARK in value ? new Unread(value[MARK], value.problem) : value);

/** The first text within a value that is no JSON, or null. */
export function unreadIn(value) {
  if (value instanceof Unread) return value;
  if (value === null || typeof value !== "object") return null;
  return Object.values(value).map(unreadIn).find(Boolean) ?? null;
}

/** JSON as text. `set` gets what it means, undefined for nothing, or an `Unread`. */
export function JsonField({ value, set, rows = 5, placeholder, ...about }) {
  const shown = value instanceof Unread ? value.text : value === undefined ? "" : pretty(value);
  const [text, setText] = useState(shown);
  useEffect(() => {
    if (!(value instanceof Unread) && JSON.stringify(read(text)) !== JSON.stringify(value)) setText(shown);
  }, [value]);
  const typed = (next) => {
    setText(next);
    set(read(next));
  };
  const problem = value instanceof Unread ? value.problem : null;
  return html`<${TextField} ...${about} wide mono multiline=${rows} value=${text} set=${typed} placeholder=${placeholder} wrong=${problem ?? about.wrong} />`;
}

function read(text) {
  if (!text.trim()) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    return new Unread(text, `no JSON: ${error.message}`);
  }
}

/** What a schema is about: without the null that may stand for nothing. */
function core(schema) {
  const options = schema.anyOf ?? schema.oneOf;
  if (!options) return { ...schema, nullable: false };
  const real = options.filter((one) => one.type !== "null");
  const nullable = real.length < options.length;
  const about = { description: schema.description, default: schema.default, nullable };
  return real.length === 1 ? { ...real[0], ...about } : { options: real, ...about };
}

const words = (value) => (typeof value === "string" ? value : JSON.stringify(value));

const asDefault = (schema) => (schema.default === undefined ? undefined : `default: ${schema.default === "" ? "empty" : words(schema.default)}`);

/** A number if it is one; else the text, which the node refuses and says why. */
const numeric = (text) => (text.trim() === "" ? undefined : Number.isFinite(Number(text)) ? Number(text) : text);

/** The fields of an object's schema. `value` is the object, `set` gets it changed, `refused` is what the node said. */
export function SchemaFields({ schema, value, set, path, refused }) {
  const required = new Set(schema.required ?? []);
  const change = (name) => (next) => {
    const { [name]: _gone, ...rest } = value ?? {};
    set(next === undefined ? rest : { ...rest, [name]: next });
  };
  const names = Object.keys(schema.properties ?? {});
  return html`<div class="fields">${names.map(
    (name) => html`<${SchemaField} key=${name} name=${name} schema=${schema.properties[name]}
    required=${required.has(name)}
    value=${value?.[name]} set=${change(name)} path=${`${path}.${name}`} refused=${refused} />`,
  )}</div>`;
}

/** One field. `value` undefined: not said. */
export function SchemaField({ name, schema, required, value, set, path, refused }) {
  const about = core(schema);
  const label = required ? `${name} *` : name;
  const hint = [about.description, about.nullable && "may be left out"].filter(Boolean).join("; ") || undefined;
  const common = { path, label, hint, wrong: wrongAt(refused, path) };
  if (value instanceof Unread) return html`<${JsonField} ...${common} value=${value} set=${set} />`;
  if (about.enum) return html`<${Choice} ...${common} about=${about} required=${required} value=${value} set=${set} />`;
  switch (about.type) {
    case "boolean":
      return html`<${Choice} ...${common} about=${{ ...about, enum: [true, false] }} required=${required} value=${value} set=${set} />`;
    case "integer":
    case "number":
      return html`<${TextField} ...${common} value=${value ?? ""} set=${(text) => set(numeric(text))} placeholder=${asDefault(about) ?? about.type} />`;
    case "string":
      return html`<${TextField} ...${common} multiline=${String(value ?? "").includes("\n") ? 4 : undefined} value=${value ?? ""}
        set=${(text) => set(text === "" && !required ? undefined : text)} placeholder=${asDefault(about)} />`;
    case "array":
      if (about.items && !Array.isArray(about.items))
        return html`<${Items} ...${common} about=${about} value=${value} set=${set} refused=${refused}
        name=${name} />`;
      break;
    case "object":
      if (about.properties)
        return html`<fieldset class="span"><legend>${label}</legend>${hint && html`<p class="small dim">${hint}</p>`}
        <${SchemaFields} schema=${about} value=${value} set=${set} path=${path} refused=${refused} /></fieldset>`;
      if (about.additionalProperties?.type === "string") return html`<${Mapping} ...${common} value=${value} set=${set} />`;
      break;
  }
  return html`<${JsonField} ...${common} value=${value} set=${set} rows=${3} placeholder=${asDefault(about) ?? "JSON"} />`;
}

/** One of some values, which need not be texts. */
function Choice({ about, required, value, set, ...common }) {
  const options = about.enum.map((one) => ({ value: JSON.stringify(one), label: words(one) }));
  const none = required ? "choose" : about.default === undefined ? "not said" : asDefault(about);
  return html`<${ChoiceField} ...${common} options=${options} none=${none} value=${value === undefined ? "" : JSON.stringify(value)}
    set=${(text) => set(text === "" ? undefined : JSON.parse(text))} />`;
}

const blank = (schema) => ({ string: "", object: {}, array: [], boolean: false })[core(schema).type];

/** A list, one field for each of what it holds. */
function Items({ about, value, set, refused, name, path, label, hint, wrong }) {
  const list = Array.isArray(value) ? value : [];
  const change = (at) => (next) => set(list.map((one, i) => (i === at ? (next ?? null) : one)));
  const drop = (at) => () => set(list.length === 1 ? undefined : list.filter((_, i) => i !== at));
  const simple = ["string", "integer", "number"].includes(core(about.items).type) && !about.items.enum;
  return html`<div class="field span" role="group" aria-label=${label}><span class="label">${label}</span>
    ${list.map(
      (one, at) => html`<div class="pair single" key=${at}>
      ${
        simple
          ? html`<input id=${idOf(`${path}[${at}]`)} aria-label=${`${name} ${at + 1}`} value=${one ?? ""} autocomplete="off" spellcheck=${false}
            onInput=${(event) => change(at)(core(about.items).type === "string" ? event.target.value : numeric(event.target.value))} />`
          : html`<${SchemaField} name=${`${name} ${at + 1}`} schema=${about.items} value=${one ?? undefined} set=${change(at)} path=${`${path}[${at}]`}
          refused=${refused} />`
      }
      <button type="button" class="plain small" aria-label=${`Remove ${name} ${at + 1}`} onClick=${drop(at)}>✕</button></div>`,
    )}
    <div><button type="button" class="small" onClick=${() => set([...list, blank(about.items) ?? null])}>Add to ${name}</button></div>
    ${(wrong || hint) && html`<span class=${wrong ? "wrong" : "hint"}>${wrong || hint}</span>`}</div>`;
}

function Mapping({ value, set, ...about }) {
  const [rows, setRows] = useState(Object.entries(value ?? {}));
  const change = (next) => {
    setRows(next);
    const named = next.filter(([name]) => name !== "");
    set(named.length ? Object.fromEntries(named) : undefined);
  };
  return html`<${PairsField} ...${about} rows=${rows} set=${change} />`;
}

/** Whether fields can hold all that a schema allows: one that is open takes names that nobody knows beforehand. */
const isClosed = (schema) => schema?.type === "object" && schema.additionalProperties === false;

/** The parameters of a handler: fields where its schema says which, JSON always. */
export function ParametersForm({ schema, value, set, refused, path = "parameters" }) {
  const fits = isClosed(schema) && Object.keys(value ?? {}).every((name) => name in (schema.properties ?? {}));
  const [raw, setRaw] = useState(false);
  const asJson = raw || !fits || value instanceof Unread;
  const wrong = wrongAt(refused, path, { within: asJson });
  if (isClosed(schema) && !Object.keys(schema.properties ?? {}).length && !Object.keys(value ?? {}).length)
    return html`<p class="dim small">This type takes no parameters.</p>`;
  return html`<div class="stack">
    ${
      asJson
        ? html`<${JsonField} path=${path} label="Parameters, as JSON" value=${value} set=${(next) => set(next === undefined ? {} : next)} wrong=${wrong}
        rows=${6} />`
        : html`<${SchemaFields} schema=${schema} value=${value} set=${set} path=${path} refused=${refused} />
          ${wrongAt(refused, path) && html`<div class="note bad" role="alert">${wrongAt(refused, path)}</div>`}`
    }
    <div><button type="button" class="plain small" aria-pressed=${asJson} disabled=${asJson && !fits} onClick=${() => setRaw(!raw)}>{ } As JSON</button></div>
  </div>`;
}

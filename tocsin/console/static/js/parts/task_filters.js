// What the list of tasks can be filtered by. All of it stands in the address.

import { html, useEffect, useState } from "../lib.js";
import { get, session } from "../api.js";
import { count } from "../format.js";
import { useLoaded } from "../load.js";
import { setQuery } from "../router.js";
import { STATUSES, word } from "../states.js";

/** Of the address, those that choose tasks; under the same names REST takes them. */
export const FILTERS = ["status", "type", "text", "level", "system"];

/** Levels of a caller: whose tasks he may look at, the widest first. */
export function levels() {
  const known = session.get();
  if (known.own) return [];
  const all = known.tenant === null ? [["all", "All"]] : [];
  return [...all, ["company", known.tenant === null ? "Without a tenant" : "The company's"], ["user", "Mine"]];
}

/** The filters of an address, as REST takes them. */
export const filterOf = (query) => Object.fromEntries(FILTERS.filter((name) => query[name]).map((name) => [name, query[name]]));

const change = (changes) => setQuery({ ...changes, offset: null });

/** The filters of a change of many tasks: the system's own are not among what a filter means. */
export const bulkFilterOf = (query) => filterOf({ ...query, system: null });

/** Fields for the filters. */
export function Filters({ query, counts }) {
  const types = useLoaded((signal) => get("/types", {}, signal), []);
  return html`<form class="filters" onSubmit=${(event) => event.preventDefault()}>
    <${Text} query=${query} />
    <div class="field"><label for="status">Status</label>
      <select id="status" value=${query.status ?? ""} onChange=${(event) => change({ status: event.target.value })}>
        <option value="">All</option>
        ${STATUSES.map((name) => html`<option value=${name}>${word(name)}${counts?.byStatus?.[name] ? ` (${count(counts.byStatus[name])})` : ""}</option>`)}
      </select></div>
    <${Type} query=${query} types=${types.data?.list ?? []} />
    ${levels().length > 1 && html`<${Level} query=${query} />`}
    <label class="check small"><input type="checkbox" checked=${query.system === "true"} onChange=${() => change({ system: query.system === "true" ? null : "true" })} /> The system's own too</label>
  </form>`;
}

function Text({ query }) {
  const [text, setText] = useState(query.text ?? "");
  useEffect(() => setText(query.text ?? ""), [query.text]);
  const find = (event) => {
    event.preventDefault();
    change({ text: text.trim() });
  };
  const typed = (event) => {
    if (event.key === "Enter") find(event);
  };
  return html`<div class="field grow"><label for="text">Name</label>
    <input id="text" type="search" value=${text} onInput=${(event) => setText(event.target.value)} onKeyDown=${typed} onBlur=${find} onSearch=${find} placeholder="a part of the name" /></div>`;
}

function Type({ query, types }) {
  const known = types.map((type) => type.name);
  return html`<div class="field"><label for="type">Type</label>
    <input id="type" list="types" value=${query.type ?? ""} onChange=${(event) => change({ type: event.target.value.trim() })} placeholder="a task type" />
    <datalist id="types">${known.map((name) => html`<option value=${name}></option>`)}</datalist></div>`;
}

function Level({ query }) {
  const [widest, ...others] = levels();
  return html`<div class="field"><label for="level">Whose</label>
    <select id="level" value=${query.level ?? ""} onChange=${(event) => change({ level: event.target.value })}>
      <option value="">${widest[1]}</option>
      ${others.map(([name, text]) => html`<option value=${name}>${text}</option>`)}
    </select></div>`;
}

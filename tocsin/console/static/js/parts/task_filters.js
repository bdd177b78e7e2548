// What the list of tasks can be filtered by. All of it stands in the address.

import { html } from "../lib.js";
import { get, session } from "../api.js";
import { count } from "../format.js";
import { useLoaded } from "../load.js";
import { setQuery } from "../router.js";
import { STATUSES, word } from "../states.js";
import { Typed } from "./typed.js";

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
    <${Typed} name="text" label="Name" hint="a part of the name" query=${query} grow />
    <div class="field"><label for="status">Status</label>
      <select id="status" value=${query.status ?? ""} onChange=${(event) => change({ status: event.target.value })}>
        <option value="">All</option>
        ${STATUSES.map((name) => html`<option value=${name}>${word(name)}${counts?.byStatus?.[name] ? ` (${count(counts.byStatus[name])})` : ""}</option>`)}
      </select></div>
    <${Typed} name="type" label="Type" hint="a task type" query=${query} known=${(types.data?.list ?? []).map((type) => type.name)} />
    ${levels().length > 1 && html`<${Level} query=${query} />`}
    <label class="check small"><input type="checkbox" checked=${query.system === "true"} onChange=${() => change({ system: query.system === "true" ? null : "true" })} /> The system's own too</label>
  </form>`;
}

function Level({ query }) {
  const [widest, ...others] = levels();
  return html`<div class="field"><label for="level">Whose</label>
    <select id="level" value=${query.level ?? ""} onChange=${(event) => change({ level: event.target.value })}>
      <option value="">${widest[1]}</option>
      ${others.map(([name, text]) => html`<option value=${name}>${text}</option>`)}
    </select></div>`;
}

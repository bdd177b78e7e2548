// What the list of executions can be filtered by: state, type, task, node and time, all in the address.

import { html } from "../lib.js";
import { get } from "../api.js";
import { useLoaded } from "../load.js";
import { zone } from "../format.js";
import { setQuery } from "../router.js";
import { looks, word } from "../states.js";
import { useStore } from "../store.js";
import { fromField, toField } from "./moment.js";
import { Typed } from "./typed.js";

export const STATES = ["RUNNING", "WAITING", "CRASHED", "COMPLETED", "FAILED", "TIMED_OUT", "CANCELLED"];

const OPEN = ["RUNNING", "WAITING"];

const WORDS = { CRASHED: "Held" };

const HOUR = 3_600_000;

/** How far back is looked: as it stands in the address, in milliseconds, in words. */
const SPANS = [
  ["15m", HOUR / 4, "the last 15 minutes"],
  ["1h", HOUR, "the last hour"],
  ["6h", 6 * HOUR, "the last 6 hours"],
  ["24h", 24 * HOUR, "the last 24 hours"],
  ["7d", 168 * HOUR, "the last 7 days"],
  ["30d", 720 * HOUR, "the last 30 days"],
];

/** The states that an address asks for; none: all of them. */
export function statesOf(query) {
  const named = (query.state ?? "").toUpperCase().split(",").filter(Boolean);
  return [...new Set(named.flatMap((name) => (name === "OPEN" ? OPEN : name === "HELD" ? ["CRASHED"] : [name])))];
}

/** What is asked of the node for an address; `now` in milliseconds. */
export function wantedOf(query, now) {
  const [, length] = SPANS.find(([name]) => name === query.last) ?? SPANS[1];
  const since = query.since ?? new Date(now - length).toISOString();
  return { state: query.state, type: query.type, task: query.task, node: query.node, since, until: query.until, offset: query.offset };
}

/** Whether an event tells of an execution that would be in the list. */
export function fits(query, { task, execution }) {
  const states = statesOf(query);
  if (states.length && !states.includes(execution.state)) return false;
  if (query.type && task.taskType !== query.type) return false;
  if (query.node && execution.node !== query.node) return false;
  return !query.task || query.task === task.name || task.itemId.startsWith(query.task);
}

const change = (changes) => setQuery({ ...changes, offset: null });

export function Filters({ query }) {
  const types = useLoaded((signal) => get("/types", {}, signal), []);
  const nodes = useLoaded((signal) => get("/nodes", {}, signal), []);
  const members = nodes.data?.list ?? nodes.data?.nodes ?? [];
  return html`<div class="stack">
    <${States} query=${query} />
    <form class="filters" onSubmit=${(event) => event.preventDefault()}>
      <${Typed} name="task" label="Task" hint="its name or id" query=${query} />
      <${Typed} name="type" label="Type" hint="a task type" query=${query} known=${(types.data?.list ?? []).map((type) => type.name)} />
      ${(members.length > 1 || query.node) && html`<${Typed} name="node" label="Node" hint="a node's name" query=${query} known=${members.map((node) => node.name)} />`}
      <${Span} query=${query} />
    </form>
  </div>`;
}

/** Each state is a switch; none on means all. */
function States({ query }) {
  const on = statesOf(query);
  const turn = (name) => change({ state: (on.includes(name) ? on.filter((one) => one !== name) : [...on, name]).join(",") });
  return html`<div class="row switches" role="group" aria-label="States">
    <button type="button" class="small" aria-pressed=${on.length === 0} onClick=${() => change({ state: null })}>All</button>
    ${STATES.map(
      (name) => html`<button key=${name} type="button" class="small" aria-pressed=${on.includes(name)} title=${looks(name).about} onClick=${() => turn(name)}>
        <span class=${`state is-${looks(name).look}`} data-sign=${looks(name).sign}>${WORDS[name] ?? word(name)}</span></button>`,
    )}
  </div>`;
}

/** How far back, or from when until when. Open ones are there whenever they began. */
function Span({ query }) {
  useStore(zone);
  const own = query.since || query.until;
  const choose = (event) => {
    const { value } = event.target;
    if (value === "own") return change({ last: null, since: new Date(Date.now() - HOUR).toISOString() });
    return change({ last: value === "1h" ? null : value, since: null, until: null });
  };
  return html`<div class="field"><label for="span">Ended in</label>
      <select id="span" value=${own ? "own" : (query.last ?? "1h")} onChange=${choose}>
        ${SPANS.map(([name, , text]) => html`<option value=${name}>${text}</option>`)}
        <option value="own">a time of my own …</option>
      </select></div>
    ${own &&
    html`<div class="field"><label for="since">From</label>
        <input id="since" type="datetime-local" step="1" value=${toField(query.since)} onChange=${(event) => change({ since: fromField(event.target.value) })} /></div>
      <div class="field"><label for="until">Until</label>
        <input id="until" type="datetime-local" step="1" value=${toField(query.until)} onChange=${(event) => change({ until: fromField(event.target.value) })} /></div>`}`;
}

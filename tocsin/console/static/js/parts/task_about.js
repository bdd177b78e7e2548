// What a task is: its definition, what it depends on, and what follows it.

import { html } from "../lib.js";
import { get, path } from "../api.js";
import { full, pretty } from "../format.js";
import { useLoaded } from "../load.js";
import { link } from "../router.js";
import { commandLine, CopyButton, curlLine, Elsewhere } from "./copy.js";
import { asFile } from "./definition.js";
import { Card, Facts, Loaded } from "./page.js";
import { State } from "./state.js";

const SPOTS = { any: "any node", all: "all nodes: each of them runs it", nodes: "the nodes", selector: "nodes with" };

function placed(placement) {
  const which =
    placement.nodes?.join(", ") ??
    Object.entries(placement.labels ?? {})
      .map(([name, value]) => `${name}=${value}`)
      .join(", ");
  return [SPOTS[placement.on] ?? placement.on, which, placement.strategy && `by ${placement.strategy}`].filter(Boolean).join(" ");
}

/** Parameters, extra data, labels, where it runs, who made it. */
export function Definition({ task }) {
  const labels = Object.entries(task.labels);
  const facts = [
    ["Parameters", Object.keys(task.parameters).length ? html`<pre class="diff-value">${pretty(task.parameters)}</pre>` : html`<span class="dim">none</span>`],
    ["Runs on", `${placed(task.placement)}${task.runsOn.length ? `; now on ${task.runsOn.join(", ")}` : ""}`],
    ["Kept in", task.persistent ? "the store" : `memory of ${task.node}: it ends with that node`],
    labels.length > 0 && [
      "Labels",
      html`<span class="row">${labels.map(
        ([name, value]) => html`<span class="chip wrap"
      key=${name}>${name}=${value}</span>`,
      )}</span>`,
    ],
    task.extra && ["Extra data", `${task.extra.size} bytes of ${task.extra.contentType}`],
    task.checkpointData != null && ["Checkpoint", html`<pre class="diff-value">${pretty(task.checkpointData)}</pre>`],
    ["Id", html`<span class="row"><code class="small">${task.itemId}</code><${CopyButton} text=${task.itemId} /></span>`],
    ["Made", `${full(task.createdAt)}${task.owner ? ` by ${task.owner}` : ""}`],
    ["Revision", `${task.revision}${task.changedBy ? `, changed last by ${task.changedBy}` : ""}`],
  ];
  return html`<${Card} title="Definition"><div class="stack"><${Facts} rows=${facts.filter(Boolean)} /><${AsText} task=${task} /></div><//>`;
}

/** The definition as a file, read when it is asked for. */
function AsText({ task }) {
  return html`<${Elsewhere} cli=${commandLine("task", "show", task.name)} curl=${curlLine("GET", path`/tasks/${task.itemId}/definition`)} />
    <details><summary>As a file</summary><${File} task=${task} /></details>`;
}

function File({ task }) {
  const loaded = useLoaded((signal) => get(path`/tasks/${task.itemId}/definition`, {}, signal), [task.itemId, task.revision]);
  return html`<${Loaded} of=${loaded}>${(definition) => {
    const text = asFile(definition);
    return html`<div class="stack"><div class="row spread"><span class="small dim">For tocsin apply</span><${CopyButton}
      text=${text} /></div><pre class="command">${text}</pre></div>`;
  }}<//>`;
}

const Related = ({ tasks, none }) =>
  tasks.length
    ? tasks.map(
        (one) => html`<a key=${one.id} class="tile"
    href=${link("tasks", one.id)}><span class="truncate" dir="auto">${one.name ?? one.id}</span>${
      one.status &&
      html`<${State}
      name=${one.status} />`
    }</a>`,
      )
    : html`<span class="dim small">${none}</span>`;

/** What it waits for, itself, and what waits for it: from left to right. */
export function Dependencies({ task }) {
  if (!task.parents.length && !task.children.length) return null;
  const { mode, failFast } = task.dependencies ?? {};
  const rule = task.parents.length ? `waits for ${mode === "any" ? "one" : "each"} of them${failFast ? ", gives up as soon as one cannot complete" : ""}` : "";
  return html`<${Card} title="Dependencies" aside=${html`<span class="small dim">${rule}</span>`}>
    <div class="graph">
      <div class="stack" role="group" aria-label="Waits for"><${Related}
        tasks=${task.parents} none="waits for no task" /></div><span class="arrow" aria-hidden="true">→</span>
      <div class="stack"><div class="tile here"><strong class="truncate" dir="auto">${task.name}</strong><${State}
        name=${task.status} /></div></div><span class="arrow" aria-hidden="true">→</span>
      <div class="stack" role="group" aria-label="Waited for by"><${Related} tasks=${task.children} none="no task waits for it" /></div>
    </div>
  <//>`;
}

/** What follows its outcomes, and what became of it lately. */
export function Events({ task }) {
  if (!task.events.length) return null;
  return html`<${Card} title="What follows it">
    <div class="stack">${task.events.map(
      (event) => html`<div
      key=${event.name} class="stack"><div class="row"><strong>${event.name}</strong>${(event.on ?? []).map(
        (one) => html`<${State} key=${one}
        name=${one} />`,
      )}</div>
      ${event.condition && html`<div class="small">if <code>${event.condition}</code></div>`}
      <ul class="small plain-list">${event.actions.map(
        (action, at) => html`<li
        key=${at}><strong>${action.kind.replaceAll("_", " ")}</strong>${" "}
          <span class="anywhere">${action.url ?? action.task ?? action.name ?? action.to?.join(", ")}</span></li>`,
      )}</ul></div>`,
    )}
      <${Deliveries} task=${task} /></div>
  <//>`;
}

function Deliveries({ task }) {
  const loaded = useLoaded((signal) => get(path`/tasks/${task.itemId}/deliveries`, { limit: 10 }, signal), [task.itemId, task.version]);
  return html`<details><summary>What became of it lately</summary><${Loaded} of=${loaded}>${({ list }) =>
    list.length
      ? html`<ul class="small plain-list">${list.map(
          (one) => html`<li
      key=${one.id}>${full(one.at)} ${one.event}: ${one.state.replaceAll("_", " ")} <span class="dim anywhere">${one.detail}</span></li>`,
        )}</ul>`
      : html`<p class="dim small">Nothing yet.</p>`}<//></details>`;
}

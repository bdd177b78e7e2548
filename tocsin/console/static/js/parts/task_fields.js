// The parts of a task's form beside its trigger and its policies.

import { html } from "../lib.js";
import { CheckField, ChoiceField, PairsField, TextField, wrongAt } from "./field.js";
import { JsonField, ParametersForm } from "./form.js";
import { Card } from "./page.js";

const EXAMPLE = `[{"name": "tell", "on": ["FAILED"],
  "actions": [{"kind": "webhook", "url": "https://example.org/hook"}]}]`;

const PLACES = [
  { value: "store", label: "the store" },
  { value: "memory", label: "memory" },
];

/** What is run: name, type, parameters. */
export function What({ form, change, types, refused, fixed }) {
  const type = types.find((one) => one.name === form.taskType);
  const names = [...new Set([...types.map((one) => one.name), form.taskType].filter(Boolean))];
  return html`<${Card} title="What">
    <div class="stack">
      <div class="fields">
        <${TextField} path="name" label="Name" hint="unique; made of the type if not said" value=${form.name} set=${(name) => change({ name })}
          wrong=${wrongAt(refused, "name")} />
        <${ChoiceField} path="taskType" label="Task type" none="choose" options=${names} value=${form.taskType}
          set=${(taskType) => change({ taskType, parameters: taskType === form.taskType ? form.parameters : {} })} wrong=${wrongAt(refused, "taskType")} />
        <${ChoiceField} path="persistent" label="Kept in" value=${form.persistent ? "store" : "memory"}
          set=${(where) => change({ persistent: where === "store" })}
options=${PLACES.filter(({ value }) => !fixed || (value === "store") === form.persistent)}
          hint=${fixed ? "cannot be changed: make a new task" : form.persistent ? "it survives every restart" : "it ends with its node, and costs no write"}
            wrong=${wrongAt(refused, "persistent")} />
      </div>
      ${
        type?.description &&
        html`<details><summary>What ${type.name} does: ${type.description.split("\n")[0]}</summary>
        <p class="type-about small">${type.description}</p></details>`
      }
      ${
        form.taskType &&
        html`<fieldset><legend>Parameters</legend>
        ${!type && html`<p class="small dim">This node does not know the type, so it does not know its parameters: write them as JSON.</p>`}
        <${ParametersForm} key=${form.taskType} schema=${type?.schema} value=${form.parameters} set=${(parameters) => change({ parameters })}
          refused=${refused} /></fieldset>`
      }
    </div>
  <//>`;
}

function Placement({ place, set, refused }) {
  const change = (changes) => set({ ...place, ...changes });
  return html`<fieldset><legend>Where it runs</legend><div class="fields">
    <${ChoiceField} path="placement.on" label="Nodes" value=${place.on} set=${(on) => change({ on })}
      wrong=${wrongAt(refused, "placement.on") ?? wrongAt(refused, "placement")}
      options=${[
        { value: "any", label: "any one of them" },
        { value: "all", label: "all: each of them runs it" },
        { value: "nodes", label: "one of those named" },
        { value: "selector", label: "one with these labels" },
      ]} />
    ${
      place.on === "nodes" &&
      html`<${TextField} path="placement.nodes" label="Names of nodes" hint="n1, n2" value=${place.nodes}
      set=${(nodes) => change({ nodes })} wrong=${wrongAt(refused, "placement.nodes", { within: true })} />`
    }
    ${
      place.on === "selector" &&
      html`<${PairsField} path="placement.labels" label="Labels of nodes" rows=${place.labels} set=${(labels) => change({ labels })}
      wrong=${wrongAt(refused, "placement.labels", { within: true })} />`
    }
    <${TextField} path="placement.strategy" label="Strategy" hint="least_loaded, round_robin, random, pinned, rules, or a plug-in"
      placeholder="as the node is set" value=${place.strategy} set=${(strategy) => change({ strategy })} wrong=${wrongAt(refused, "placement.strategy")} />
  </div></fieldset>`;
}

function Dependencies({ form, set, refused }) {
  const change = (changes) => set({ ...form, ...changes });
  return html`<fieldset><legend>What it waits for</legend><div class="fields">
    <${TextField} path="dependencies.parents" wide multiline=${2} label="Tasks" hint="one name or id on each line: it runs when they have completed"
      value=${form.parents} set=${(parents) => change({ parents })}
        wrong=${wrongAt(refused, "dependencies", { within: true }) ?? wrongAt(refused, "dependencies")} />
    <${ChoiceField} path="dependencies.mode" label="Wait for" value=${form.mode} set=${(mode) => change({ mode })}
      options=${[
        { value: "all", label: "each of them" },
        { value: "any", label: "one of them" },
      ]} />
    <${CheckField} path="dependencies.failFast" label="Give up as soon as one of them cannot complete" value=${form.failFast}
      set=${(failFast) => change({ failFast })} />
  </div></fieldset>`;
}

function Extra({ extra, set, refused }) {
  const change = (changes) => set({ ...extra, ...changes });
  const hint = extra.kept ? "there are bytes that are no text: they stay unless you write something here" : "a text that the handler gets exactly as it is";
  return html`<fieldset><legend>Extra data</legend><div class="fields">
    <${TextField} path="extra.data" wide multiline=${2} label="Text" hint=${hint} value=${extra.text} set=${(text) => change({ text })}
      wrong=${wrongAt(refused, "extra", { within: true }) ?? wrongAt(refused, "extra")} />
    <${TextField} path="extra.contentType" label="Content type" placeholder="application/octet-stream" value=${extra.contentType}
      set=${(contentType) => change({ contentType })} />
  </div></fieldset>`;
}

/** Whether a form says something of what is folded away. */
const saysMore = ({ placement, dependencies, events, extra }) =>
  placement.on !== "any" || Boolean(placement.strategy) || Boolean(dependencies.parents) || events !== undefined || Boolean(extra.text);

/** Tags, labels, where it runs, what it waits for, what follows it. */
export function Beside({ form, change, refused }) {
  return html`<${Card} title="Beside">
    <div class="stack">
      <div class="fields">
        <${TextField} path="tags" label="Tags" hint="words for people: nightly, eu" value=${form.tags} set=${(tags) => change({ tags })}
          wrong=${wrongAt(refused, "tags", { within: true }) ?? wrongAt(refused, "tags")} />
        <${PairsField} path="labels" label="Labels" hint="values by name, for people and programs: team = billing" rows=${form.labels}
          set=${(labels) => change({ labels })} wrong=${wrongAt(refused, "labels", { within: true }) ?? wrongAt(refused, "labels")} />
      </div>
      <details open=${saysMore(form) || /^(placement|dependencies|events|extra)/.test(refused?.path ?? "")}>
        <summary>Where it runs, what it waits for, what follows it, extra data</summary>
        <div class="stack">
          <${Placement} place=${form.placement} set=${(placement) => change({ placement })} refused=${refused} />
          <${Dependencies} form=${form.dependencies} set=${(dependencies) => change({ dependencies })} refused=${refused} />
          <fieldset><legend>What follows its outcomes</legend>
            <${JsonField} path="events" label="Event triggers, as JSON" value=${form.events} set=${(events) => change({ events })} placeholder=${EXAMPLE}
              wrong=${wrongAt(refused, "events", { within: true }) ?? wrongAt(refused, "events")} /></fieldset>
          <${Extra} extra=${form.extra} set=${(extra) => change({ extra })} refused=${refused} />
        </div>
      </details>
    </div>
  <//>`;
}

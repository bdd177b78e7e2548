// A task as a form holds it: texts, that may still be wrong. To and from the JSON that the node takes.

import { changedPolicies, readPolicies, writePolicies } from "./policies.js";
import { emptyTrigger, readTrigger, writeTrigger } from "./trigger_model.js";

export const emptyTask = (type = "") => ({
  taskType: type,
  name: "",
  parameters: {},
  trigger: emptyTrigger(),
  policies: {},
  tags: "",
  labels: [],
  persistent: true,
  placement: { on: "any", nodes: "", labels: [], strategy: "" },
  dependencies: { parents: "", mode: "all", failFast: false },
  events: undefined,
  extra: { text: "", contentType: "", kept: null },
});

/** The bytes of base64 as text, or null if they are none. */
function decoded(data) {
  try {
    const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function encoded(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(""));
}

function readExtra(extra) {
  if (!extra) return { text: "", contentType: "", kept: null };
  const text = decoded(extra.data);
  return { text: text ?? "", contentType: extra.contentType, kept: text === null ? extra : null };
}

/** The form of a task: of its definition, and of the task in full, which tells where its policies come from and how its parents are called. */
export function readTask(definition, task) {
  const { placement, dependencies } = definition;
  const named = (id) => task.parents.find((parent) => parent.id === id)?.name ?? id;
  return {
    ...emptyTask(definition.taskType),
    name: definition.name,
    parameters: definition.parameters,
    trigger: readTrigger(definition.trigger),
    policies: readPolicies(task.policies, task.policySources),
    tags: definition.tags.join(", "),
    labels: Object.entries(definition.labels),
    persistent: definition.persistent,
    placement: {
      on: placement.on,
      nodes: (placement.nodes ?? []).join(", "),
      labels: Object.entries(placement.labels ?? {}),
      strategy: placement.strategy ?? "",
    },
    dependencies: dependencies
      ? { parents: dependencies.parents.map(named).join("\n"), mode: dependencies.mode, failFast: dependencies.failFast }
      : emptyTask().dependencies,
    events: definition.events.length ? definition.events : undefined,
    extra: readExtra(definition.extra),
  };
}

const words = (text) =>
  text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);
const named = (rows) => Object.fromEntries(rows.filter(([name]) => name.trim() !== "").map(([name, value]) => [name.trim(), value]));

function writePlacement({ on, nodes, labels, strategy }) {
  const place = { nodes: { on, nodes: words(nodes) }, selector: { on, labels: named(labels) } }[on] ?? { on };
  return on === "any" && !strategy ? null : { ...place, ...(strategy ? { strategy } : {}) };
}

function writeDependencies({ parents, mode, failFast }) {
  const names = parents
    .split("\n")
    .map((one) => one.trim())
    .filter(Boolean);
  return names.length ? { parents: names, mode, failFast } : null;
}

function writeExtra({ text, contentType, kept }) {
  if (kept && !text) return kept;
  return text ? { data: encoded(text), ...(contentType ? { contentType } : {}) } : null;
}

/** All that a form says, as the node takes it for a new task. */
export function writeTask(form) {
  const body = {
    ...(form.name.trim() ? { name: form.name.trim() } : {}),
    taskType: form.taskType,
    trigger: writeTrigger(form.trigger),
    parameters: form.parameters,
    policies: writePolicies(form.policies),
    tags: words(form.tags),
    labels: named(form.labels),
    dependencies: writeDependencies(form.dependencies),
    events: form.events ?? [],
    placement: writePlacement(form.placement),
    extra: writeExtra(form.extra),
    persistent: form.persistent,
  };
  const saysNothing = (value) => value === null || (typeof value === "object" && Object.keys(value).length === 0);
  const needed = new Set(["taskType", "trigger", "parameters"]);
  return Object.fromEntries(Object.entries(body).filter(([key, value]) => needed.has(key) || (key === "persistent" ? value === false : !saysNothing(value))));
}

/** What is to be sent for what was changed; what is taken away is said as such. */
export function changesOf(before, after) {
  const [old, made] = [writeTask(before), writeTask(after)];
  const empty = { dependencies: null, placement: { on: "any", strategy: null }, extra: null, tags: [], labels: {}, events: [] };
  const keys = [...new Set([...Object.keys(old), ...Object.keys(made)])].filter((key) => key !== "policies" && key !== "persistent");
  const changed = keys.filter((key) => JSON.stringify(old[key]) !== JSON.stringify(made[key])).map((key) => [key, key in made ? made[key] : empty[key]]);
  const policies = changedPolicies(before.policies, after.policies);
  return { ...Object.fromEntries(changed), ...(Object.keys(policies).length ? { policies } : {}) };
}

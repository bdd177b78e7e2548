// All policies of a task: what each is, what it is if nobody says it, and how it is said on a command line.

import { html } from "../lib.js";
import { ChoiceField, TextField, wrongAt } from "./field.js";

const option = (value, label) => ({ value, label: `${value}: ${label}` });

/** kind: how the text of a field becomes JSON. usual: what holds if neither the task nor its type says it. unset: what null means, where it may be null. */
export const POLICIES = [
  { key: "retry.maxRetries", group: "When it fails", label: "Retries", about: "after the first attempt", kind: "whole", usual: 3, option: "--retries" },
  { key: "retry.delay", group: "When it fails", label: "Time between attempts", about: "30s, 5m, 1h30m", kind: "text", usual: "1m", option: "--retry-delay" },
  {
    key: "retry.backoff",
    group: "When it fails",
    label: "Backoff",
    about: "whether that time grows",
    options: [option("fixed", "stays"), option("exponential", "grows with each failure")],
    usual: "fixed",
    option: "--backoff",
  },
  {
    key: "retry.factor",
    group: "When it fails",
    label: "Backoff factor",
    about: "by which an exponential one grows",
    kind: "real",
    usual: 2,
    option: "--backoff-factor",
  },
  {
    key: "retry.cap",
    group: "When it fails",
    label: "Longest time between attempts",
    about: "where an exponential backoff ends",
    kind: "text",
    usual: "1h",
    option: "--retry-cap",
  },
  {
    key: "retry.jitter",
    group: "When it fails",
    label: "Jitter",
    about: "up to this part of the time more, 0 to 1",
    kind: "real",
    usual: 0,
    option: "--retry-jitter",
  },
  {
    key: "retry.retryOn",
    group: "When it fails",
    label: "Retry on",
    about: "exception types; empty: every one",
    kind: "list",
    usual: [],
    option: "--retry-on",
  },
  {
    key: "retry.giveUpOn",
    group: "When it fails",
    label: "Give up on",
    about: "exception types that are final",
    kind: "list",
    usual: [],
    option: "--give-up-on",
  },
  {
    key: "onExhausted",
    group: "When it fails",
    label: "Retries used up",
    about: "what a recurring task does then",
    options: [option("wait", "for its next time"), option("pause", "until somebody activates it")],
    usual: "wait",
    option: "--on-exhausted",
  },
  {
    key: "onCrash",
    group: "When it fails",
    label: "Its process died",
    about: "what becomes of that execution",
    options: [option("resume", "from its checkpoint"), option("rerun", "from the beginning"), option("hold", "until somebody resumes it")],
    usual: "resume",
    option: "--on-crash",
  },
  {
    key: "overlap",
    group: "When it is late, or still runs",
    label: "The run before has not ended",
    about: "what becomes of the next",
    options: [
      option("skip", "it does not run"),
      option("allow", "both run"),
      option("queue", "one waits"),
      option("queue_all", "each waits"),
      option("replace", "the one before is cancelled"),
    ],
    usual: "skip",
    option: "--overlap",
  },
  {
    key: "overlapLimit",
    group: "When it is late, or still runs",
    label: "Wait at most",
    about: "executions, with queue_all",
    kind: "whole",
    unset: "as many as there are",
    option: "--overlap-limit",
  },
  {
    key: "catchUp",
    group: "When it is late, or still runs",
    label: "Times missed",
    about: "while no node could fire them",
    options: [option("latest", "the last of them runs"), option("skip", "none runs"), option("earliest", "the first of them runs"), option("all", "each runs")],
    usual: "latest",
    option: "--catch-up",
  },
  {
    key: "catchUpLimit",
    group: "When it is late, or still runs",
    label: "Catch up at most",
    about: "executions, with all",
    kind: "whole",
    unset: "no limit of its own",
    option: "--catch-up-limit",
  },
  {
    key: "catchUpRate",
    group: "When it is late, or still runs",
    label: "Catch up rate",
    about: "with all: 10/m",
    kind: "text",
    unset: "no rate of its own",
    option: "--catch-up-rate",
  },
  {
    key: "latenessLimit",
    group: "When it is late, or still runs",
    label: "Late at most",
    about: "a time that is later does not run",
    kind: "text",
    unset: "any",
    option: "--lateness-limit",
  },
  {
    key: "maxWait",
    group: "When it is late, or still runs",
    label: "Wait for its start at most",
    about: "then it is given up",
    kind: "text",
    unset: "any",
    option: "--max-wait",
  },
  { key: "timeout", group: "Limits", label: "Timeout", about: "how long an attempt may take", kind: "text", unset: "none", option: "--timeout" },
  {
    key: "heartbeatTimeout",
    group: "Limits",
    label: "Heartbeat timeout",
    about: "how long an attempt may be without a sign of life",
    kind: "text",
    unset: "none",
    option: "--heartbeat-timeout",
  },
  { key: "priority", group: "Limits", label: "Priority", about: "0 runs first, 9 last", kind: "whole", usual: 5, option: "--priority" },
  { key: "queue", group: "Limits", label: "Queue", about: "that its executions wait in", kind: "text", usual: "default", option: "--queue" },
  {
    key: "concurrency.key",
    group: "Limits",
    label: "Concurrency key",
    about: "tasks with the same key share the limit",
    kind: "text",
    unset: "none",
    option: "--concurrency-key",
  },
  {
    key: "concurrency.limit",
    group: "Limits",
    label: "Concurrency limit",
    about: "executions with the key at once; 1 is a lock",
    kind: "whole",
    unset: "1",
    option: "--concurrency-limit",
  },
  {
    key: "ttl",
    group: "Limits",
    label: "Kept for",
    about: "ended executions, and the task once it has finished",
    kind: "text",
    unset: "as the node is set",
    option: "--ttl",
  },
];

const GROUPS = [...new Set(POLICIES.map((policy) => policy.group))];

/** The value of a policy within an object of policies. */
export const policyIn = (policies, key) => key.split(".").reduce((value, part) => value?.[part], policies) ?? null;

const spoken = (value) => (Array.isArray(value) ? value.join(", ") : String(value));

/** What a policy is if nobody says it, in words. */
const usual = (policy) => (policy.usual === undefined ? policy.unset : spoken(policy.usual) || "none");

/** The texts of the policies that a task says by itself, by key. sources: as the node tells them. */
export function readPolicies(policies, sources) {
  const own = POLICIES.filter(({ key }) => sources[key.split(".")[0]] === "task" && policyIn(policies, key) !== null);
  return Object.fromEntries(
    own.filter((policy) => spoken(policyIn(policies, policy.key)) !== spoken(policy.usual ?? "")).map(({ key }) => [key, spoken(policyIn(policies, key))]),
  );
}

function valueOf(policy, text) {
  const trimmed = text.trim();
  if (policy.kind === "list") return trimmed.split(/[\s,]+/).filter(Boolean);
  const number = Number(trimmed);
  if (policy.kind === "whole" && /^\d+$/.test(trimmed)) return number;
  return policy.kind === "real" && trimmed !== "" && Number.isFinite(number) ? number : trimmed;
}

function place(made, key, value) {
  const [head, tail] = key.split(".");
  return { ...made, [head]: tail ? { ...made[head], [tail]: value } : value };
}

/** What the node takes for texts by key. */
export const writePolicies = (texts) =>
  POLICIES.filter(({ key }) => (texts[key] ?? "").trim() !== "").reduce((made, policy) => place(made, policy.key, valueOf(policy, texts[policy.key])), {});

/** What the node takes for a change of texts: only what changed, and what was taken away as it is if nobody says it. */
export function changedPolicies(before, after) {
  const changed = POLICIES.filter(({ key }) => (before[key] ?? "").trim() !== (after[key] ?? "").trim());
  const made = changed.reduce((made, policy) => {
    const text = (after[policy.key] ?? "").trim();
    if (text !== "") return place(made, policy.key, valueOf(policy, text));
    return policy.key === "concurrency.key" ? { ...made, concurrency: null } : place(made, policy.key, policy.usual ?? null);
  }, {});
  if (made.concurrency && !(after["concurrency.key"] ?? "").trim()) return { ...made, concurrency: null };
  return made;
}

const SOURCES = { default: "default", type: "from its type", task: "its own" };

/** Fields for all policies. texts: by key. inherited: policies and where they come from, of a task that is there. */
export function PoliciesForm({ texts, set, refused, inherited }) {
  const placeholder = (policy) => {
    const source = inherited?.policySources[policy.key.split(".")[0]];
    const value = source === "type" ? policyIn(inherited.policies, policy.key) : null;
    return value !== null ? `${spoken(value)} (from its type)` : `${usual(policy)} (default)`;
  };
  return html`<div class="stack">${GROUPS.map((group) => {
    const policies = POLICIES.filter((policy) => policy.group === group);
    const said = policies.some(({ key }) => texts[key]) || policies.some(({ key }) => wrongAt(refused, `policies.${key}`));
    return html`<details key=${group} open=${said}><summary>${group}</summary><div class="fields">
      ${policies.map((policy) => {
        const common = {
          path: `policies.${policy.key}`,
          label: policy.label,
          hint: policy.about,
          wrong: wrongAt(refused, `policies.${policy.key}`),
          value: texts[policy.key],
          set: (text) => set({ ...texts, [policy.key]: text }),
        };
        return policy.options
          ? html`<${ChoiceField} key=${policy.key} ...${common} none=${placeholder(policy)} options=${policy.options} />`
          : html`<${TextField} key=${policy.key} ...${common} placeholder=${placeholder(policy)} />`;
      })}
    </div></details>`;
  })}</div>`;
}

/** The policies of a task in words, each with where it comes from; what nobody has said is folded away. */
export function PoliciesTable({ policies, sources }) {
  const rows = POLICIES.map((policy) => ({ policy, value: policyIn(policies, policy.key), source: sources[policy.key.split(".")[0]] }));
  // `retry` is told as one: of its parts, those that are as by default say nothing.
  const told = rows.filter(
    ({ policy, value, source }) => source !== "default" && value !== null && !(policy.key.includes(".") && spoken(value) === spoken(policy.usual ?? "")),
  );
  const rest = rows.filter((row) => !told.includes(row));
  return html`<div class="stack">
    ${told.length ? html`<${Rows} rows=${told} />` : html`<p class="dim small">It says none by itself: all are the defaults.</p>`}
    <details><summary>${rest.length} that are as by default</summary><${Rows} rows=${rest} /></details>
  </div>`;
}

function Rows({ rows }) {
  return html`<ul class="policies">${rows.map(
    ({ policy, value, source }) => html`<li key=${policy.key} title=${policy.key}>
    <div class="row spread"><span class="dim">${policy.label}</span><span
      class=${`chip ${source === "default" ? "" : "warm"}`}>${SOURCES[source] ?? source}</span></div>
    <div><strong class="anywhere">${inWords(policy, value)}</strong> <span class="tiny dim">${policy.about}</span></div></li>`,
  )}</ul>`;
}

function inWords(policy, value) {
  if (value === null) return policy.unset ?? "none";
  const chosen = policy.options?.find((one) => one.value === value);
  return chosen ? chosen.label : spoken(value) || "none";
}

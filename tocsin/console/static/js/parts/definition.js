// A definition as text, to copy: as a command line, and as YAML for a file that `tocsin apply` takes.

import { commandLine } from "./copy.js";
import { POLICIES, policyIn } from "./policies.js";

const CALENDAR_FORMS = { everyDays: "--every-days", everyWeeks: "--every-weeks", everyMonths: "--every-months", everyYears: "--every-years" };

const OPTIONS = {
  cron: "--cron",
  every: "--every",
  ...CALENDAR_FORMS,
  after: "--in",
  at: "--at",
  anchor: "--anchor",
  timezone: "--timezone",
  gap: "--gap",
  fold: "--fold",
  weekday: "--weekday",
  day: "--day",
  month: "--month",
  missing: "--missing",
  start: "--start",
  end: "--end",
  maxRuns: "--times",
  spread: "--spread",
};

function triggerWords(trigger = {}) {
  const { any, calendars = [], fixedDelay, kind: _kind, ...rest } = trigger;
  const words = (any ?? []).flatMap(triggerWords);
  const plain = Object.entries(rest).flatMap(([key, value]) => (OPTIONS[key] ? [OPTIONS[key], String(value)] : []));
  const rules = calendars.flatMap((rule) => [
    rule.mode === "include" ? "--include" : "--exclude",
    rule.shift && rule.shift !== "skip" ? `${rule.calendar}:${rule.shift}` : rule.calendar,
  ]);
  return [...words, ...plain, ...(fixedDelay ? ["--fixed-delay"] : []), ...rules];
}

const repeated = (option, values) => values.flatMap((value) => [option, String(value)]);

function policyWords(policies = {}) {
  return POLICIES.flatMap((policy) => {
    const value = policyIn(policies, policy.key);
    return value === null ? [] : repeated(policy.option, Array.isArray(value) ? value : [value]);
  });
}

function placeWords(placement) {
  if (!placement) return [];
  const place = placement.nodes?.length
    ? `node=${placement.nodes.join(",")}`
    : placement.labels
      ? `label=${Object.entries(placement.labels)
          .map((pair) => pair.join(":"))
          .join(",")}`
      : placement.on;
  return [...(place && place !== "any" ? ["--on", place] : []), ...(placement.strategy ? ["--strategy", placement.strategy] : [])];
}

/** A body as a command line. `task`: the one that it changes; without it a new one is made. */
export function asCommand(body, task) {
  const parents = body.dependencies?.parents ?? [];
  const words = [
    ...triggerWords(body.trigger),
    ...(body.parameters && (task || Object.keys(body.parameters).length) ? ["--params", JSON.stringify(body.parameters)] : []),
    ...policyWords(body.policies),
    ...repeated("--tag", body.tags ?? []),
    ...repeated(
      "--label",
      Object.entries(body.labels ?? {}).map((pair) => pair.join("=")),
    ),
    ...repeated("--depends-on", parents),
    ...(parents.length && body.dependencies.mode === "any" ? ["--depends-mode", "any"] : []),
    ...(body.dependencies?.failFast ? ["--fail-fast"] : []),
    ...placeWords(body.placement),
    ...(body.events?.length ? ["--events", JSON.stringify(body.events)] : []),
    ...(body.persistent === false ? ["--memory"] : []),
  ];
  if (task) return commandLine("task", "edit", task, ...(body.name ? ["--name", body.name] : []), ...words);
  return commandLine("task", "add", body.name ?? "NAME", "--type", body.taskType ?? "TYPE", ...words);
}

const PLAIN = /^[A-Za-z_][A-Za-z0-9_ ./@-]*$/;
const WORDS = new Set(["true", "false", "null", "yes", "no", "on", "off", "y", "n"]);

function scalar(value) {
  if (typeof value !== "string") return JSON.stringify(value);
  return PLAIN.test(value) && !value.endsWith(" ") && !WORDS.has(value.toLowerCase()) ? value : JSON.stringify(value);
}

const isEmpty = (value) => value !== null && typeof value === "object" && Object.keys(value).length === 0;

/** A value of JSON as lines of YAML. A text that YAML could take for something else is quoted as JSON does, which YAML reads too. */
function lines(value, indent) {
  const pad = " ".repeat(indent);
  if (Array.isArray(value)) {
    return value.flatMap((one) => {
      if (one === null || typeof one !== "object" || isEmpty(one)) return [`${pad}- ${isEmpty(one) ? JSON.stringify(one) : scalar(one)}`];
      const [first, ...rest] = lines(one, indent + 2);
      return [`${pad}- ${first.trimStart()}`, ...rest];
    });
  }
  return Object.entries(value).flatMap(([key, one]) => {
    if (one === null || typeof one !== "object") return [`${pad}${scalar(key)}: ${scalar(one)}`];
    return isEmpty(one) ? [`${pad}${scalar(key)}: ${JSON.stringify(one)}`] : [`${pad}${scalar(key)}:`, ...lines(one, indent + 2)];
  });
}

const isSaid = ([, value]) => value !== null && value !== undefined && !isEmpty(value);

/** A definition as the text of a file; what says nothing is left out. */
export function asFile(definition) {
  const said = Object.fromEntries(Object.entries(definition).filter(isSaid));
  return `${["tocsin: 1", "", "tasks:", ...lines([said], 2)].join("\n")}\n`;
}

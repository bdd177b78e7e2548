// Triggers as a form holds them: texts, that may still be wrong. To and from the JSON that the node takes.

/** The forms that a trigger may have: its key, what it is called, what stands in its field, and which fields go with it. */
export const FORMS = [
  {
    key: "cron",
    label: "Cron",
    hint: "minute hour day month weekday; six fields with seconds first; or @daily",
    example: "30 2 * * mon-fri",
    fields: ["timezone", "gap", "fold"],
  },
  { key: "every", label: "Interval", hint: "a fixed rate: 30s, 5m, 1h30m", example: "5m", fields: ["anchor", "fixedDelay", "timezone"] },
  { key: "everyDays", label: "Every so many days", hint: "days by the calendar", example: "1", fields: ["at", "anchor", "timezone", "gap", "fold"] },
  {
    key: "everyWeeks",
    label: "Every so many weeks",
    hint: "weeks by the calendar",
    example: "1",
    fields: ["weekday", "at", "anchor", "timezone", "gap", "fold"],
  },
  {
    key: "everyMonths",
    label: "Every so many months",
    hint: "months by the calendar",
    example: "1",
    fields: ["day", "missing", "at", "anchor", "timezone", "gap", "fold"],
  },
  {
    key: "everyYears",
    label: "Every so many years",
    hint: "years by the calendar",
    example: "1",
    fields: ["month", "day", "missing", "at", "anchor", "timezone", "gap", "fold"],
  },
  { key: "at", label: "Once, at a time", hint: "2030-03-01 12:00, in the zone; or with an offset", example: "2030-03-01T12:00", fields: ["timezone"] },
  { key: "after", label: "Once, after a while", hint: "so long after it is saved: 2h", example: "2h", fields: ["timezone"] },
];

export const formOf = (key) => FORMS.find((form) => form.key === key);

const WHOLE = new Set(["everyDays", "everyWeeks", "everyMonths", "everyYears", "month", "maxRuns", "day", "version"]);

/** A whole number if it is one; else the text, which the node refuses and says why. */
const valueOf = (key, text) => (WHOLE.has(key) && /^\d+$/.test(String(text).trim()) ? Number(text) : typeof text === "string" ? text.trim() : text);

/** The zone of whoever looks. */
export const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";

/** The zone of a trigger as the node shows it: of a union, that of the first one that has any. */
export const zoneOf = (json) => json?.timezone ?? json?.any?.find((one) => one.timezone)?.timezone ?? "UTC";

export const emptyMember = (form = "cron") => ({ form, timezone: form === "every" || form === "after" ? "" : ownZone() });

export const emptyTrigger = () => ({ members: [emptyMember()], start: "", end: "", maxRuns: "", spread: "", calendars: [] });

function readMember(json) {
  const form = FORMS.find((one) => one.key in json && !(one.key === "at" && Object.keys(json).some((key) => /^every[A-Z]/.test(key)))) ?? FORMS[0];
  const { kind: _kind, start: _start, end: _end, maxRuns: _maxRuns, spread: _spread, calendars: _calendars, any: _any, ...rest } = json;
  const texts = Object.entries(rest).map(([key, value]) => [key === form.key ? "value" : key, typeof value === "boolean" ? value : String(value)]);
  return { form: form.key, ...Object.fromEntries(texts) };
}

/** The form of a trigger as the node shows it. */
export function readTrigger(json) {
  const text = (key) => (json[key] == null ? "" : String(json[key]));
  const calendars = (json.calendars ?? []).map((rule) =>
    typeof rule === "string" ? { calendar: rule } : { ...rule, version: rule.version == null ? "" : String(rule.version) },
  );
  return { members: (json.any ?? [json]).map(readMember), start: text("start"), end: text("end"), maxRuns: text("maxRuns"), spread: text("spread"), calendars };
}

const isSaid = ([, value]) => value !== "" && value !== undefined && value !== null && value !== false;

function writeMember(member) {
  const allowed = new Set(formOf(member.form).fields);
  const beside = Object.entries(member)
    .filter(([key]) => allowed.has(key))
    .filter(isSaid);
  return { [member.form]: valueOf(member.form, member.value ?? ""), ...Object.fromEntries(beside.map(([key, value]) => [key, valueOf(key, value)])) };
}

/** What the node takes for a form. */
export function writeTrigger(form) {
  const members = form.members.map(writeMember);
  const bounds = ["start", "end", "maxRuns", "spread"]
    .map((key) => [key, form[key]])
    .filter(isSaid)
    .map(([key, value]) => [key, valueOf(key, value)]);
  const calendars = form.calendars
    .filter((rule) => rule.calendar)
    .map((rule) =>
      Object.fromEntries(
        Object.entries(rule)
          .filter(isSaid)
          .map(([key, value]) => [key, valueOf(key, value)]),
      ),
    );
  return { ...(members.length === 1 ? members[0] : { any: members }), ...Object.fromEntries(bounds), ...(calendars.length ? { calendars } : {}) };
}

/** Whether there is enough of it to ask the node what it means. */
export const isStarted = (form) => form.members.every((member) => String(member.value ?? "").trim() !== "");

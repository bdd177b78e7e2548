// A trigger in a few words, for a cell of a table. The page of a task has them all, from the node.

const UNITS = { everyDays: "day", everyWeeks: "week", everyMonths: "month", everyYears: "year" };

function calendar(trigger) {
  const [key, unit] = Object.entries(UNITS).find(([name]) => name in trigger) ?? [];
  if (!key) return trigger.kind;
  return trigger[key] === 1 ? `every ${unit}` : `every ${trigger[key]} ${unit}s`;
}

const zoned = (trigger) => (trigger.timezone && trigger.timezone !== "UTC" ? ` ${trigger.timezone}` : "");

/** `every 5m`, `30 2 * * mon-fri Europe/Vienna`, `once`, `any of 2`. */
export function triggerWords(trigger) {
  switch (trigger.kind) {
    case "interval":
      return `every ${trigger.every}`;
    case "cron":
      return `${trigger.cron}${zoned(trigger)}`;
    case "once":
      return "once";
    case "union":
      return `any of ${trigger.any.length}`;
    case "calendar":
      return `${calendar(trigger)} ${trigger.at ?? ""}${zoned(trigger)}`;
    default:
      return trigger.kind;
  }
}

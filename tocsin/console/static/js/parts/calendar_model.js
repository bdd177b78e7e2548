// Which days are in a calendar, and calendars as a form holds them.

import { inZone } from "./fires.js";

export const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const DAY = 86_400_000;

/** More days of one window are not walked through: it would be a calendar of years. */
const LONGEST = 1_000;

const at = (date) => Date.parse(`${date}T00:00:00Z`);
const dateOf = (time) => new Date(time).toISOString().slice(0, 10);

function between(first, last) {
  const days = [];
  for (let day = at(first); day <= at(last) && days.length < LONGEST; day += DAY) days.push(dateOf(day));
  return days;
}

/** The days by how they are in a calendar: {named, parted}, sets of dates. A window that leaves some of a day makes it parted. */
export function daysOf(calendar) {
  const named = new Set((calendar.days ?? []).flatMap((day) => (typeof day === "string" ? [day] : between(day.first, day.last ?? day.first))));
  const local = (instant) => inZone(instant, calendar.timezone).slice(4, 14);
  const parted = new Set(
    (calendar.windows ?? []).flatMap(({ begin, end }) =>
      Number.isNaN(Date.parse(begin)) || Number.isNaN(Date.parse(end)) ? [] : between(local(begin), local(new Date(Date.parse(end) - 1).toISOString())),
    ),
  );
  return { named, parted };
}

/** The days of a month as weeks that begin on Monday: dates, with null before the first and after the last. `month` from 0. */
export function weeksOf(year, month) {
  const first = new Date(Date.UTC(year, month, 1));
  const length = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  const days = [...Array((first.getUTCDay() + 6) % 7).fill(null), ...Array.from({ length }, (_, i) => dateOf(Date.UTC(year, month, i + 1)))];
  const weeks = [];
  for (let i = 0; i < days.length; i += 7) weeks.push([...days.slice(i, i + 7), ...Array(7).fill(null)].slice(0, 7));
  return weeks;
}

export const weekdayOf = (date) => WEEKDAYS[(new Date(at(date)).getUTCDay() + 6) % 7];

export const emptyCalendar = () => ({ name: "", timezone: Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC", weekdays: [], days: "", windows: "" });

const range = (first, last) => (last && last !== first ? `${first} .. ${last}` : first);

/** The form of a calendar as the node shows it. */
export const readCalendar = (calendar) => ({
  name: calendar.name,
  timezone: calendar.timezone,
  weekdays: calendar.weekdays,
  days: calendar.days.map((day) => (typeof day === "string" ? day : range(day.first, day.last))).join("\n"),
  windows: calendar.windows.map(({ begin, end }) => range(begin, end)).join("\n"),
});

const rows = (text) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean)
    .map((line) => line.split(/\s*\.\.\s*/));

/** What the node takes for a form: without the name, which is in the path. */
export function writeCalendar(form) {
  const days = rows(form.days).map(([first, last]) => (last ? { first, last } : first));
  const windows = rows(form.windows).map(([begin, end = ""]) => ({ begin, end }));
  return {
    ...(form.timezone.trim() ? { timezone: form.timezone.trim() } : {}),
    weekdays: WEEKDAYS.filter((day) => form.weekdays.includes(day)),
    days,
    windows,
  };
}

/** The text of a form's days with a date put in, or taken out if it is there by itself or in a run. */
export function turned(days, date) {
  const found = rows(days);
  const holds = ([first, last = first]) => first <= date && date <= last;
  if (!found.some(holds)) return [...found.map((row) => row.join(" .. ")), date].sort().join("\n");
  const [before, after] = [dateOf(at(date) - DAY), dateOf(at(date) + DAY)];
  return found
    .flatMap((row) => {
      const [first, last = first] = row;
      if (!holds(row)) return [row.join(" .. ")];
      return [first <= before && range(first, before), after <= last && range(after, last)].filter(Boolean);
    })
    .join("\n");
}

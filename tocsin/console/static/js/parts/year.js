// A year with the days of a calendar marked.

import { classes, html } from "../lib.js";
import { day as today } from "../format.js";
import { daysOf, WEEKDAYS, weekdayOf, weeksOf } from "./calendar_model.js";

const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];

const KINDS = { named: ["named", "a day of it"], weekday: ["weekday", "by its weekday"], parted: ["parted", "some of the day"] };

function kindOf(date, days, weekdays) {
  if (days.named.has(date)) return "named";
  if (weekdays.has(weekdayOf(date))) return "weekday";
  return days.parted.has(date) ? "parted" : null;
}

function Day({ date, kind, turn, now }) {
  const number = Number(date.slice(8));
  const title = kind ? `${date}: ${KINDS[kind][1]}` : date;
  const inside = turn
    ? html`<button type="button" class="plain" aria-pressed=${kind === "named"} aria-label=${title}
    onClick=${() => turn(date)}>${number}</button>`
    : html`<span>${number}${kind && html`<span class="for-readers"> ${KINDS[kind][1]}</span>`}</span>`;
  return html`<td class=${classes("day", kind && `day-${kind}`, now && "now")} title=${title}>${inside}</td>`;
}

/** The year. calendar: {timezone, weekdays, days, windows}. turn(date): what a press on a day does, while one edits. */
export function Year({ calendar, year, turn }) {
  const days = daysOf(calendar);
  const weekdays = new Set(calendar.weekdays);
  const present = today(Date.now());
  return html`<div class="stack">
    <div class="year">${MONTHS.map(
      (name, month) => html`<table class="month" key=${name}><caption>${name}</caption>
      <thead><tr>${WEEKDAYS.map((one) => html`<th scope="col"><abbr title=${one}>${one[0].toUpperCase()}</abbr></th>`)}</tr></thead>
      <tbody>${weeksOf(year, month).map(
        (week, at) =>
          html`<tr key=${at}>${week.map((date) =>
            date
              ? html`<${Day} date=${date}
        kind=${kindOf(date, days, weekdays)} turn=${turn} now=${date === present} />`
              : html`<td></td>`,
          )}</tr>`,
      )}</tbody></table>`,
    )}</div>
    <div class="row small">${Object.values(KINDS).map(
      ([name, about]) => html`<span class="row" key=${name}><span
      class=${`day day-${name} sample`}>24</span> ${about}</span>`,
    )}</div>
  </div>`;
}

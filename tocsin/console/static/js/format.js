// Instants, durations and numbers as people read them.

import { createSetting, createStore, useStore } from "./store.js";

/** Clocks of the reader's own zone or of UTC. */
export const zone = createSetting("zone", ["local", "utc"]);

const now = createStore(Date.now());
setInterval(() => now.set(Date.now()), 1_000);

/** The present in milliseconds; who uses it is drawn anew every second. */
export const useNow = () => useStore(now);

export const millis = (instant) => (instant == null ? null : Date.parse(instant));

const pad = (number, digits = 2) => String(number).padStart(digits, "0");

const UNITS = [
  ["d", 86_400_000],
  ["h", 3_600_000],
  ["m", 60_000],
  ["s", 1_000],
];

/** A duration in milliseconds: `12 ms`, `3.4 s`, `2 m 5 s`, `3 d 4 h`. */
export function duration(value) {
  if (value == null || Number.isNaN(value)) return "";
  const size = Math.abs(value);
  if (size < 1_000) return `${Math.round(value)} ms`;
  if (size < 60_000) return `${(value / 1_000).toFixed(size < 10_000 ? 1 : 0)} s`;
  const at = UNITS.findIndex(([, unit]) => size >= unit);
  const [big, length] = UNITS[at];
  const whole = Math.floor(size / length);
  const [small, rest] = UNITS[at + 1];
  const left = Math.floor((size - whole * length) / rest);
  return `${value < 0 ? "-" : ""}${whole} ${big}${left ? ` ${left} ${small}` : ""}`;
}

/** How far an instant is: `in 5 s`, `3 m ago`, `now`. `at`: the present in milliseconds. */
export function relative(instant, at) {
  if (instant == null) return "";
  const left = millis(instant) - at;
  if (Math.abs(left) < 1_000) return "now";
  const rounded = Math.round(left / 1_000) * 1_000;
  const coarse = Math.abs(rounded) < 60_000 ? `${Math.abs(rounded) / 1_000} s` : duration(Math.abs(rounded));
  return left > 0 ? `in ${coarse}` : `${coarse} ago`;
}

function parts(instant) {
  const date = new Date(instant);
  if (zone.get() === "utc") {
    return [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(), date.getUTCMinutes(), date.getUTCSeconds(), date.getUTCMilliseconds()];
  }
  return [date.getFullYear(), date.getMonth() + 1, date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds(), date.getMilliseconds()];
}

/** The time of day: `09:30:00`, with `.250` if asked. */
export function clock(instant, { fine = false } = {}) {
  const [, , , hour, minute, second, milli] = parts(instant);
  return `${pad(hour)}:${pad(minute)}:${pad(second)}${fine ? `.${pad(milli, 3)}` : ""}`;
}

/** The day: `2026-11-22`. */
export function day(instant) {
  const [year, month, date] = parts(instant);
  return `${year}-${pad(month)}-${pad(date)}`;
}

/** Day and time. */
export const full = (instant, options) => (instant == null ? "" : `${day(instant)} ${clock(instant, options)}`);

const plain = new Intl.NumberFormat("en");
export const count = (number) => (number == null ? "" : plain.format(number));

/** `1 task`, `3 tasks`. */
export const many = (number, word, words = `${word}s`) => `${count(number)} ${number === 1 ? word : words}`;

/** The first part of an id: enough to tell it from others, and to look for. */
export const short = (id) => (id == null ? "" : id.length > 13 ? id.slice(0, 13) : id);

/** Whatever a value is, as text of JSON on several lines. */
export const pretty = (value) => JSON.stringify(value, null, 2);

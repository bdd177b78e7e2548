// The load of the coming days, minute by minute, laid out as people read it: days, hours, minutes of a clock.

import { clock, day } from "./format.js";

const MINUTE = 60_000;

/** Run lengths `[fires, minutes]` as one number for each minute. */
export function unpacked(counts) {
  const minutes = [];
  for (const [fires, length] of counts) for (let i = 0; i < length; i += 1) minutes.push(fires);
  return minutes;
}

/**
 * Days in order, by the clock that is shown: [{day, minutes: [{fires, at} | undefined] (1440 of them), total, most}]. Minutes that are not
 * looked at are undefined; of two that a clock shows alike the fuller one counts.
 */
export function days(load) {
  const made = new Map();
  const from = Date.parse(load.from);
  unpacked(load.counts).forEach((fires, i) => {
    const at = from + i * MINUTE;
    const name = day(at);
    if (!made.has(name)) made.set(name, { day: name, minutes: new Array(1440), total: 0, most: 0 });
    const one = made.get(name);
    const [hour, minute] = clock(at).split(":").map(Number);
    const place = hour * 60 + minute;
    if (!one.minutes[place] || one.minutes[place].fires < fires) one.minutes[place] = { fires, at };
    one.total += fires;
    one.most = Math.max(one.most, fires);
  });
  return [...made.values()];
}

/** How strong a minute is drawn, 0 to 1: by the logarithm, so that one fire is seen beside a thousand. */
export const strength = (fires, most) => (fires ? 0.18 + 0.82 * (most > 1 ? Math.log(fires) / Math.log(most) : 1) : 0);

/** Some counts from one to the most, to explain the colours with. */
export function steps(most) {
  const wanted = most <= 1 ? [1] : [1, Math.round(Math.sqrt(most)), most];
  return [...new Set(wanted)];
}

// Instants in fields of date and time, in the zone of whoever looks.

import { full, zone } from "../format.js";

/** The value of a field for an instant; empty for none. */
export const toField = (instant) => (instant ? full(instant).replace(" ", "T") : "");

/** The instant that a field says; null for none. */
export function fromField(text) {
  if (!text) return null;
  const date = new Date(zone.get() === "utc" ? `${text}Z` : text);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

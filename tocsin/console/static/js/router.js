// Where in the console one is. Every state of a page that is worth a link is in the address.

import { queryText } from "./api.js";
import { createStore } from "./store.js";

const ROOT = "/console";

function read() {
  const parts = location.pathname.slice(ROOT.length).split("/").filter(Boolean).map(decodeURIComponent);
  return { parts, query: Object.fromEntries(new URLSearchParams(location.search)), key: location.pathname };
}

/** The present place: its parts after `/console`, its query, and a key that changes with the page alone. */
export const place = createStore(read());

/** The address of a page: `link("tasks", id)`, `link("tasks", {status: "FAILED"})`. */
export function link(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  return `${ROOT}${parts.map((part) => `/${encodeURIComponent(part)}`).join("")}${queryText(query)}`;
}

/** Go somewhere. `replace`: without a step to come back to. */
export function go(address, { replace = false } = {}) {
  if (address === location.pathname + location.search) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  place.set(read());
}

/** Change parts of the query; what becomes empty or null goes. The page stays. */
export function setQuery(changes, { replace = true } = {}) {
  go(`${location.pathname}${queryText({ ...place.get().query, ...changes })}`, { replace });
}

function followed(event) {
  const anchor = event.target.closest?.("a[href]");
  if (!anchor || event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const url = new URL(anchor.href);
  const own = url.origin === location.origin && (url.pathname === ROOT || url.pathname.startsWith(`${ROOT}/`));
  if (!own || anchor.target || anchor.hasAttribute("download")) return;
  event.preventDefault();
  go(url.pathname + url.search);
  scrollTo(0, 0);
}

/** Follow links and the browser's own steps without loading the page anew. */
export function startRouter() {
  addEventListener("popstate", () => place.set(read()));
  document.addEventListener("click", followed);
}

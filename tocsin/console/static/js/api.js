// What is asked of the node, over the same REST that everybody else uses.

import { createStore } from "./store.js";

/** How long an answer may take, in milliseconds: longer than any that the node itself gives itself. */
const PATIENCE = 30_000;

const CSRF = "tocsin-csrf";

/** Who is logged in: undefined before that is known, null if nobody. */
export const session = createStore(undefined);

/** What the node refused, or could not do. */
export class Refused extends Error {
  constructor(status, error, message, request) {
    super(message);
    Object.assign(this, { name: "Refused", status, error, request });
  }
}

/** A path of the interface: its parts are escaped, so that whatever a name holds it names one thing. */
export function path(texts, ...values) {
  return texts.reduce((made, text, i) => made + text + (i < values.length ? encodeURIComponent(values[i]) : ""), "");
}

/** Parameters as the part of an address behind its question mark; what is empty is left out. */
export function queryText(query = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length ? `?${new URLSearchParams(pairs)}` : "";
}

/** Ask, and get what the answer holds: null if it holds nothing. Throws Refused. */
export async function ask(method, where, { query, body, headers = {}, signal } = {}) {
  const known = session.get();
  const sent = { ...headers };
  if (body !== undefined) sent["content-type"] = "application/json";
  if (method !== "GET" && known?.csrf) sent[CSRF] = known.csrf;
  const limit = AbortSignal.timeout(PATIENCE);
  let response;
  try {
    response = await fetch(`/api${where}${queryText(query)}`, {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    const reason = limit.aborted ? `no answer within ${PATIENCE / 1000} s` : "the node cannot be reached";
    throw new Refused(0, "Unreachable", reason, null);
  }
  return read(response);
}

async function read(response) {
  const text = await response.text();
  let told = null;
  try {
    told = text ? JSON.parse(text) : null;
  } catch {
    told = null;
  }
  if (response.ok) return told;
  if (response.status === 401) session.set(null);
  const said = told ?? { error: response.statusText, message: `the answer was ${response.status}` };
  throw new Refused(response.status, said.error, said.message, response.headers.get("x-request-id"));
}

export const get = (where, query, signal) => ask("GET", where, { query, signal });
export const post = (where, body, query) => ask("POST", where, { body, query });
export const put = (where, body, query) => ask("PUT", where, { body, query });
export const remove = (where, query) => ask("DELETE", where, { query });

/** Look who is logged in. The page knows whether the browser has a session at all. */
export async function knowSession() {
  if (document.documentElement.dataset.session === "none" && session.get() === undefined) {
    session.set(null);
    return;
  }
  try {
    session.set(await get("/session"));
  } catch (error) {
    session.set(null);
    if (error.status !== 401) throw error;
  }
}

/** Begin a session with a token: the browser keeps a cookie that no script can read, and not the token. */
export async function logIn(token, scheme = "Bearer") {
  session.set(await ask("POST", "/session", { headers: { authorization: `${scheme} ${token.trim()}` } }));
}

const TICKET = "#ticket=";

/** Begin a session with the ticket of the address, if it has one: it is taken out of the address first. Answers what went wrong. */
export async function useTicket() {
  if (!location.hash.startsWith(TICKET)) return null;
  const ticket = location.hash.slice(TICKET.length);
  history.replaceState(null, "", location.pathname + location.search);
  try {
    await logIn(ticket, "Ticket");
    return null;
  } catch (error) {
    return error;
  }
}

export async function logOut() {
  await remove("/session");
  session.set(null);
}

const RANKS = ["worker", "viewer", "operator", "administrator"];

/** Whether who is logged in may do what needs a role. The node decides; this only greys out what it would refuse. */
export function may(role, { whole = false } = {}) {
  const known = session.get();
  if (!known) return false;
  return RANKS.indexOf(known.role) >= RANKS.indexOf(role) && !(whole && known.tenant !== null);
}

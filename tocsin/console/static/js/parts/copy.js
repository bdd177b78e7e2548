// The same as a command line and as curl, to copy. Also over plain HTTP, where browsers have no clipboard for pages.

import { html, useState } from "../lib.js";
import { say } from "./toast.js";

const PLAIN = /^[A-Za-z0-9_./:=@%+-]+$/;

/** A word as a shell takes it. */
export const quoted = (word) => (PLAIN.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`);

/** Words as a command line of tocsin. */
export const commandLine = (...words) => ["tocsin", ...words].map(quoted).join(" ");

/** A request as curl. The token stays in a variable: what is copied ends up in histories. */
export function curlLine(method, where, body) {
  const parts = ["curl", method === "GET" ? null : `-X ${method}`, '-H "Authorization: Bearer $TOCSIN_TOKEN"'];
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  parts.push(quoted(`${location.origin}/api${where}`));
  return parts.filter(Boolean).join(" ");
}

async function copy(text) {
  if (navigator.clipboard && isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("the browser did not let it");
}

export function CopyButton({ text, label = "Copy" }) {
  const run = async () => {
    try {
      await copy(text);
      say("Copied");
    } catch (error) {
      say(`Not copied: ${error.message}`, "bad");
    }
  };
  return html`<button type="button" class="small" onClick=${run}>${label}</button>`;
}

/** The same elsewhere: `cli` a command line, `curl` a request. Hidden until asked for. */
export function Elsewhere({ cli, curl }) {
  const [shown, setShown] = useState(false);
  const lines = [cli && ["Command line", cli], curl && ["curl", curl]].filter(Boolean);
  return html`<div class="stack">
    <div><button type="button" class="plain small" aria-expanded=${shown} onClick=${() => setShown(!shown)}>
      ${shown ? "▾" : "▸"} As a command</button></div>
    ${shown &&
    lines.map(
      ([name, text]) => html`<div class="stack">
        <div class="row spread"><span class="small dim">${name}</span><${CopyButton} text=${text} /></div>
        <pre class="command">${text}</pre>
      </div>`,
    )}
  </div>`;
}

// What went wrong: the message, the user's own frames first, and the whole traceback on demand.

import { html } from "../lib.js";
import { CopyButton } from "./copy.js";

const FRAME = /^ {2}File "(.+)", line (\d+), in (.+)$/;

/** Frames that are not the user's: Tocsin's own, installed packages, and what comes with Python. */
const FOREIGN = /(\/|\\)(site-packages|dist-packages|lib(\/|\\)python[\d.]+|actors(\/|\\)handling|tocsin(\/|\\)types)(\/|\\)|(\/|\\)actors(\/|\\)executor\.py$|^<frozen|^<string>/;

/** The frames of a traceback's text, the outermost first: {file, line, name, code, own}. */
export function framesOf(traceback) {
  const frames = [];
  for (const text of traceback.split("\n")) {
    const found = FRAME.exec(text);
    if (found) frames.push({ file: found[1], line: Number(found[2]), name: found[3], code: "", own: !FOREIGN.test(found[1]) });
    else if (frames.length && !frames.at(-1).code && /^ {4}\S/.test(text)) frames.at(-1).code = text.trim();
  }
  return frames;
}

function Frame({ frame }) {
  return html`<li><div class="small"><span class="mono anywhere">${frame.file}:${frame.line}</span> in <strong class="mono">${frame.name}</strong></div>
    ${frame.code && html`<pre class="command">${frame.code}</pre>`}</li>`;
}

/** A failure {type, message, traceback}. */
export function Failure({ failure }) {
  const own = framesOf(failure.traceback ?? "").filter((frame) => frame.own).reverse();
  return html`<div class="stack">
    <div class="note failure anywhere" dir="auto"><strong>${failure.type}</strong><div class="failure-text">${failure.message}</div></div>
    ${own.length > 0 && html`<ol class="frames" aria-label="Where, the innermost first">${own.map((frame) => html`<${Frame} frame=${frame} />`)}</ol>`}
    ${failure.traceback && html`<details><summary>The whole traceback</summary>
      <div class="row spread"><span class="small dim">as Python wrote it</span><${CopyButton} text=${failure.traceback} /></div>
      <pre class="command tall">${failure.traceback}</pre></details>`}
  </div>`;
}

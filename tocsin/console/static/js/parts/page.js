// The frame of what a page says: its head, its cards, and what stands there while there is nothing else.

import { classes, html, useEffect } from "../lib.js";

/** The head of a page. `title` is also the window's. */
export function Head({ title, about, before, actions }) {
  useEffect(() => {
    document.title = `${title} · Tocsin`;
  }, [title]);
  return html`<div class="head">
    <div class="words">${before}<h1 tabindex="-1">${title}</h1>${about && html`<p class="dim">${about}</p>`}</div>
    ${actions && html`<div class="actions">${actions}</div>`}
  </div>`;
}

/** A card with a heading. `aside`: what stands at the right of it. `flush`: what it holds reaches its edges. */
export function Card({ title, aside, flush, children, name }) {
  return html`<section class=${classes("card", flush && "flush")} aria-label=${name ?? title}>
    ${title && html`<div class="card-head"><h2>${title}</h2>${aside && html`<div class="row">${aside}</div>`}</div>`}
    ${children}
  </section>`;
}

export function Tile({ label, value, href, about }) {
  const inside = html`<span class="value">${value}</span><span class="label">${label}</span>`;
  return href
    ? html`<a class="tile" href=${href} title=${about}>${inside}</a>`
    : html`<div class="tile" title=${about}>${inside}</div>`;
}

/** What went wrong, with a way to try again. */
export function Problem({ error, again }) {
  return html`<div class="note bad" role="alert">
    <strong>${error.error ?? "Error"}.</strong> ${error.message}
    ${error.request && html`<div class="tiny dim">In the log: request ${error.request}</div>`}
    ${again && html`<div><button class="small" onClick=${again}>Try again</button></div>`}
  </div>`;
}

/** What `useLoaded` gave: a problem, what stands for what is read, or what is made of it. */
export function Loaded({ of, children }) {
  if (of.data === null && of.error) return html`<${Problem} error=${of.error} again=${of.again} />`;
  if (of.data === null) return html`<div class="loading" role="status">Reading …</div>`;
  return html`${of.error && html`<${Problem} error=${of.error} again=${of.again} />`}${children(of.data)}`;
}

/** Nothing is there: why, and what would change that. `command`: what to type. */
export function Empty({ title, children, command, action }) {
  return html`<div class="empty">
    <p class="title">${title}</p>
    ${children && html`<p>${children}</p>`}
    ${command && html`<pre>${command}</pre>`}
    ${action}
  </div>`;
}

/** Facts in two columns: `[name, value]`; those without a value are left out. */
export function Facts({ rows }) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return html`<dl class="facts">
    ${shown.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}
  </dl>`;
}

// Begins: who is logged in, where one is, which page that is.

import { html, render, useEffect, useState } from "./lib.js";
import { knowSession, session, useTicket } from "./api.js";
import { startKeys } from "./keys.js";
import { startLive, stopLive } from "./live.js";
import { pageAt } from "./pages.js";
import { Login } from "./pages/login.js";
import { Empty, Head, Problem } from "./parts/page.js";
import { Frame, theme } from "./parts/frame.js";
import { say, Toasts } from "./parts/toast.js";
import { link, place, startRouter } from "./router.js";
import { useStore } from "./store.js";

const ASSETS = new URL("..", import.meta.url).pathname.replace(/\/$/, "");

function show() {
  if (theme.get() === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.get();
}

function NoPage() {
  return html`<${Head} title="No such page" /><${Empty} title="There is nothing under this address." action=${html`<a class="button" href=${link()}>To what happens now</a>`} />`;
}

const loaded = new Map();

function Current() {
  const { parts, query, key } = useStore(place);
  const page = pageAt(parts.length ? parts : ["now"]);
  const [, setReady] = useState(0);
  const [error, setError] = useState(null);
  useEffect(() => {
    setError(null);
    if (!page || loaded.has(page)) return;
    page.load().then(
      (module) => {
        loaded.set(page, module.Page);
        setReady((count) => count + 1);
      },
      () => setError(new Error("The page could not be read from the node. It may run another version by now: load the console anew.")),
    );
  }, [page]);
  if (!page) return html`<${NoPage} />`;
  if (error) return html`<${Problem} error=${error} again=${() => location.reload()} />`;
  const Page = loaded.get(page);
  return Page ? html`<${Page} key=${key} parts=${parts} query=${query} />` : html`<div class="loading" role="status">Reading …</div>`;
}

function Console() {
  const known = useStore(session);
  const inside = Boolean(known);
  useEffect(() => {
    if (inside) startLive();
    return stopLive;
  }, [inside]);
  if (known === undefined) return null;
  if (known === null) return html`<${Login} assets=${ASSETS} /><${Toasts} />`;
  return html`<${Frame} assets=${ASSETS}><${Current} /><//><${Toasts} />`;
}

theme.subscribe(show);
show();
startRouter();
startKeys();
const root = document.getElementById("console");
root.replaceChildren();

async function begin() {
  try {
    const refused = await useTicket();
    if (!session.get()) await knowSession();
    render(html`<${Console} />`, root);
    if (refused) say(refused.message, "bad");
  } catch (error) {
    render(html`<main><${Problem} error=${error} again=${begin} /></main>`, root);
  }
}

begin();

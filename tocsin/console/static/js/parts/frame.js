// What stands around every page: the ways, the search, who is logged in, whether what is shown is live.

import { html, useEffect, useRef, useState } from "../lib.js";
import { logOut, session } from "../api.js";
import { zone } from "../format.js";
import { onKey } from "../keys.js";
import { connection } from "../live.js";
import { PAGES, pageAt } from "../pages.js";
import { go, link, place } from "../router.js";
import { createSetting, useStore } from "../store.js";
import { Dialog } from "./dialog.js";
import { say } from "./toast.js";

export const theme = createSetting("theme", ["auto", "light", "dark"]);

const GROUPS = ["Work", "Cluster", "Change"];

function Side({ open, close, assets }) {
  const { parts } = useStore(place);
  const page = pageAt(parts.length ? parts : ["now"]);
  const current = page?.under ?? page?.path;
  return html`<aside class=${`side ${open ? "open" : ""}`} onClick=${(event) => event.target.closest("a") && close()}>
    <a class="brand" href=${link()}><img src=${`${assets}/bell.svg`} alt="" />Tocsin</a>
    <nav aria-label="Pages">
      ${GROUPS.map(
        (group) => html`<h2>${group}</h2>
          ${PAGES.filter((page) => page.group === group).map(
            (page) => html`<a href=${link(page.path)} aria-current=${page.path === current ? "page" : undefined}>
              <span>${page.title}</span><kbd aria-hidden="true">${page.key}</kbd></a>`,
          )}`,
      )}
    </nav>
    <div class="foot"><a href="/api/docs" target="_blank" rel="noopener">REST interface</a> · <kbd>?</kbd> keys</div>
  </aside>`;
}

const WORDS = {
  live: ["good", "Live"],
  connecting: ["unsure", "Connecting"],
  lost: ["bad", "Not connected"],
  off: ["", "Not listening"],
};

function Connection() {
  const { state, rate } = useStore(connection);
  const [dot, text] = WORDS[state];
  return html`<span class="row small dim" role="status" title=${`${rate} events in the last second`}>
    <span class=${`dot ${dot}`}></span><span class="wide">${text}</span></span>`;
}

function Find() {
  const input = useRef(null);
  useEffect(() => onKey("/", () => input.current?.focus()), []);
  const find = (event) => {
    event.preventDefault();
    const text = input.current.value.trim();
    if (text) go(link("tasks", { text }));
  };
  return html`<form class="find" role="search" onSubmit=${find}>
    <input ref=${input} type="search" placeholder="Find a task   /" aria-label="Find a task by a part of its name" />
  </form>`;
}

function Who() {
  const known = useStore(session);
  const leave = () => logOut().catch((error) => say(error.message, "bad"));
  return html`<span class="small dim wide" title=${known.tenant ? `tenant ${known.tenant}` : "all tenants"}>${known.user} · ${known.role}</span>
    <button class="plain small" onClick=${leave}>Log out</button>`;
}

function Help({ close }) {
  return html`<${Dialog} title="Keys" close=${close}>
    <dl class="facts">
      ${PAGES.filter((page) => page.key).map((page) => html`<dt><kbd>${page.key}</kbd></dt><dd>${page.title}: ${page.about}</dd>`)}
      <dt><kbd>/</kbd></dt><dd>Find a task</dd>
      <dt><kbd>n</kbd></dt><dd>New task</dd>
      <dt><kbd>t</kbd></dt><dd>Colours: as the system, light, dark</dd>
      <dt><kbd>z</kbd></dt><dd>Times: local, UTC</dd>
      <dt><kbd>?</kbd></dt><dd>This</dd>
      <dt><kbd>Esc</kbd></dt><dd>Leave a field or a dialog</dd>
    </dl>
  <//>`;
}

/** The frame with a page in it. */
export function Frame({ children, assets }) {
  const [menu, setMenu] = useState(false);
  const [help, setHelp] = useState(false);
  const colours = useStore(theme);
  const zoned = useStore(zone);
  useEffect(() => {
    const undo = [
      onKey("?", () => setHelp(true)),
      onKey("t", theme.next),
      onKey("z", zone.next),
      onKey("n", () => go(link("new"))),
      ...PAGES.filter((page) => page.key).map((page) => onKey(page.key, () => go(link(page.path)))),
    ];
    return () => undo.forEach((one) => one());
  }, []);
  return html`<div class="frame">
    <${Side} open=${menu} close=${() => setMenu(false)} assets=${assets} />
    <div>
      <header class="top">
        <button class="menu-button plain" aria-label="Menu" aria-expanded=${menu} onClick=${() => setMenu(!menu)}>☰</button>
        <${Find} />
        <div class="right">
          <${Connection} />
          <button class="plain small" title="Times: local or UTC (z)" onClick=${zone.next}>${zoned === "utc" ? "UTC" : "Local"}</button>
          <button class="plain small" title="Colours (t)" aria-label=${`Colours: ${colours}`} onClick=${theme.next}>${{ auto: "◐", light: "☀", dark: "☾" }[colours]}</button>
          <${Who} />
        </div>
      </header>
      <main>${children}</main>
    </div>
    ${help && html`<${Help} close=${() => setHelp(false)} />`}
  </div>`;
}

// The way in: a token once, a session from then on.

import { html, useEffect, useState } from "../lib.js";
import { logIn } from "../api.js";

export function Login({ assets }) {
  const [token, setToken] = useState("");
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const enter = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await logIn(token);
    } catch (refused) {
      setError(refused);
      setBusy(false);
    }
  };
  useEffect(() => {
    document.title = "Log in · Tocsin";
  }, []);
  return html`<main class="door"><section class="card">
    <form class="stack" onSubmit=${enter}>
      <img src=${`${assets}/bell.svg`} alt="" />
      <h1>Tocsin</h1>
      <p class="dim">In a terminal on the node's machine this opens the console, logged in:</p>
      <pre class="command">tocsin console</pre>
      <p class="dim">Or log in with a token; the node wrote the first one into the file <code>token</code> of its data directory.</p>
      <div class="field"><label for="token">Token</label>
        <input id="token" type="password" required autofocus autocomplete="current-password" value=${token} onInput=${(event) => setToken(event.target.value)} /></div>
      ${error && html`<div class="note bad" role="alert">${error.message}</div>`}
      <button class="primary" disabled=${busy}>Log in</button>
      <p class="small dim">The browser keeps a session, not the token. More tokens: <code>tocsin token add</code>.</p>
    </form>
  </section></main>`;
}

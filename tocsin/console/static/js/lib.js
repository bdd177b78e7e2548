// The one door to the libraries: elements, hooks, and markup as tagged texts.

import { h, render, createContext, Fragment } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { render, createContext, Fragment };
export { useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback, useContext, useReducer } from "../vendor/hooks.js";
export const html = htm.bind(h);

/** Names of classes, without those that are not so. */
export const classes = (...names) => names.filter(Boolean).join(" ");

// Reading what a page shows, and reading it again.

import { useCallback, useEffect, useRef, useState } from "./lib.js";
import { isBroken, useLive } from "./live.js";

/** At most one look in so many milliseconds, however much happens. */
const REST = 1_000;

/**
 * What `read(signal)` gives: {data, error, loading, again}. It is read anew when one of `inputs` changes, and what was there stays until
 * the new is. `again` reads once more; asked often it still reads at most once in `rest` milliseconds.
 */
export function useLoaded(read, inputs, rest = REST) {
  const [state, setState] = useState({ data: null, error: null, loading: true });
  const reading = useRef(null);
  const planned = useRef(null);
  const running = useRef(null);
  const last = useRef(0);
  const newest = useRef(read);
  newest.current = read;

  const start = useCallback(() => {
    reading.current?.abort();
    const abort = new AbortController();
    reading.current = abort;
    last.current = performance.now();
    const look = async () => {
      try {
        const data = await newest.current(abort.signal);
        if (!abort.signal.aborted) setState({ data, error: null, loading: false });
      } catch (error) {
        if (!abort.signal.aborted) setState((before) => ({ ...before, error, loading: false }));
      }
    };
    running.current = look();
  }, []);

  const again = useCallback(() => {
    if (planned.current) return;
    const wait = Math.max(0, rest - (performance.now() - last.current));
    const mine = setTimeout(async () => {
      // A slow answer is waited for: cut off by each new wish, it would never be shown.
      await running.current;
      if (planned.current !== mine) return;
      planned.current = null;
      start();
    }, wait);
    planned.current = mine;
  }, []);

  useEffect(() => {
    setState((before) => ({ ...before, loading: true }));
    start();
    return () => {
      reading.current?.abort();
      clearTimeout(planned.current);
      planned.current = null;
    };
  }, inputs);
  return { ...state, again };
}

/** As `useLoaded`, read again when an event concerns it, and whenever events may have been lost. */
export function useLiveLoaded(read, inputs, concerns) {
  const loaded = useLoaded(read, inputs);
  useLive((batch) => {
    if (isBroken(batch) || batch.some(concerns)) loaded.again();
  });
  return loaded;
}

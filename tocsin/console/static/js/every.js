// Looking again and again, as long as somebody sees it.

import { useEffect, useRef } from "./lib.js";

/** Call `run` every so many milliseconds while the page is visible, and at once when it becomes so again. */
export function useEvery(milliseconds, run) {
  const newest = useRef(run);
  newest.current = run;
  useEffect(() => {
    const look = () => !document.hidden && newest.current();
    const timer = setInterval(look, milliseconds);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [milliseconds]);
}

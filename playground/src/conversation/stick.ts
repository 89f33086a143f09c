import { useCallback, useEffect, useRef, useState } from "react";

/** As near to the end as counts for being there, in pixels. */
const NEAR = 40;
/** A list moves by itself, too, as its rows are measured: only what follows a reader's hand is theirs. */
const HAND_MILLISECONDS = 600;
const UPWARDS = new Set(["ArrowUp", "PageUp", "Home"]);

/**
 * Keep a scrolled element at its end while it grows, until its reader scrolls up.
 *
 * `toEnd` scrolls there: a virtual list knows better than its element where its end is.
 */
export function useStick(scroller: HTMLElement | null, toEnd: () => void) {
  const [isStuck, setStuck] = useState(true);
  const stuck = useRef(true);
  const change = useCallback((to: boolean) => {
    stuck.current = to;
    setStuck(to);
  }, []);

  const follow = useCallback(() => {
    const toBottom = () => {
      if (stuck.current) scroller?.scrollTo({ top: scroller.scrollHeight });
    };
    toBottom();
    requestAnimationFrame(toBottom); // a list tells of its new height before it has it
  }, [scroller]);

  useEffect(() => {
    if (!scroller) return;
    let before = scroller.scrollTop;
    let moved = -Infinity;
    const hand = () => {
      moved = performance.now();
    };
    const look = () => {
      const { scrollTop, scrollHeight, clientHeight } = scroller;
      const isUpwards = scrollTop < before - 1 && performance.now() - moved < HAND_MILLISECONDS;
      if (isUpwards) change(false);
      else if (scrollHeight - scrollTop - clientHeight < NEAR) change(true);
      // It moved itself, to keep what is seen where it was; but what is to be seen is the end.
      else if (stuck.current) follow();
      before = scrollTop;
    };
    const ending = new AbortController();
    const options = { passive: true, signal: ending.signal };
    scroller.addEventListener("scroll", look, options);
    scroller.addEventListener("touchmove", hand, options);
    scroller.addEventListener("pointermove", (event) => event.buttons && hand(), options);
    scroller.addEventListener("wheel", (event) => event.deltaY < 0 && hand(), options);
    scroller.addEventListener("keydown", (event) => UPWARDS.has(event.key) && hand(), options);
    const resized = new ResizeObserver(follow);
    resized.observe(scroller);
    const content = scroller.querySelector("[data-testid=virtuoso-item-list]");
    if (content) resized.observe(content, { box: "border-box" });
    return () => {
      ending.abort();
      resized.disconnect();
    };
  }, [scroller, change, follow]);

  const stick = useCallback(() => {
    change(true);
    toEnd();
  }, [change, toEnd]);
  return { isStuck, stick, follow };
}

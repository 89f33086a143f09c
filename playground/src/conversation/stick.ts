import { useCallback, useEffect, useRef, useState } from "react";

/** As near to the end as counts for being there, in pixels. */
const NEAR = 40;

/**
 * Keep a scrolled element at its end while it grows, until its reader scrolls up.
 *
 * Only scrolling up lets go: a list that grows faster than it is scrolled is not at its end for a moment, either.
 */
export function useStick(scroller: HTMLElement | null) {
  const [isStuck, setStuck] = useState(true);
  const stuck = useRef(true);
  const change = useCallback((to: boolean) => {
    stuck.current = to;
    setStuck(to);
  }, []);

  useEffect(() => {
    if (!scroller) return;
    let before = scroller.scrollTop;
    let height = scroller.scrollHeight;
    const look = () => {
      const { scrollTop, scrollHeight, clientHeight } = scroller;
      const isNear = scrollHeight - scrollTop - clientHeight < NEAR;
      if (isNear) change(true);
      // A list that becomes shorter scrolls by itself.
      else if (scrollTop < before - 1 && scrollHeight >= height) change(false);
      before = scrollTop;
      height = scrollHeight;
    };
    scroller.addEventListener("scroll", look, { passive: true });
    const resized = new ResizeObserver(() => {
      if (stuck.current) scroller.scrollTo({ top: scroller.scrollHeight });
    });
    resized.observe(scroller);
    return () => {
      scroller.removeEventListener("scroll", look);
      resized.disconnect();
    };
  }, [scroller, change]);

  const follow = useCallback(() => {
    if (stuck.current) scroller?.scrollTo({ top: scroller.scrollHeight });
  }, [scroller]);
  const stick = useCallback(() => {
    change(true);
    scroller?.scrollTo({ top: scroller.scrollHeight });
  }, [scroller, change]);
  return { isStuck, stick, follow };
}

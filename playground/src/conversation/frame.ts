/** Gather what comes within a frame, and hand it on at once: a hundred tokens a second are no more work than sixty. */
export interface Gathering<T> {
  push: (item: T) => void;
  /** Hand on what is there now. */
  flush: () => void;
}

export function atNextFrame<T>(take: (items: readonly T[]) => void): Gathering<T> {
  let items: T[] = [];
  let isAsked = false;
  const flush = () => {
    isAsked = false;
    if (!items.length) return;
    const taken = items;
    items = [];
    take(taken);
  };
  return {
    flush,
    push: (item) => {
      items.push(item);
      if (isAsked) return;
      isAsked = true;
      // A tab that is not looked at has no frames.
      if (document.hidden) setTimeout(flush, 100);
      else requestAnimationFrame(flush);
    },
  };
}

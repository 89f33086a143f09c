/**
 * A virtual list that is read at its end, such as a conversation: only the rows that are looked at are in the page.
 *
 * At its end it stays there while rows are added and grow, until its reader scrolls up; elsewhere what is read keeps its
 * place, also while older rows are put before it.
 */
import { defaultRangeExtractor, useVirtualizer, type Virtualizer } from "@tanstack/react-virtual";
import { ArrowDown } from "lucide-react";
import {
  type KeyboardEvent,
  type ReactNode,
  type RefObject,
  type UIEvent,
  useEffect,
  useLayoutEffect,
  useRef,
  useState,
} from "react";

/** As near to the end as counts for being there, in pixels. */
const NEAR = 40;
/** Rows are drawn this far beyond the edges. */
const OVERSCAN = 6;
/** Older rows are asked for when so few are left above. */
const FEW = 18;

export interface FeedProps<T> {
  rows: readonly T[];
  keyOf: (row: T, index: number) => string | number;
  /** A guess at a row's height until it is drawn, in pixels. */
  heightOf: (row: T) => number;
  draw: (row: T) => ReactNode;
  label: string;
  className: string;
  role?: string;
  /** Above the first and below the last row, in pixels. */
  space?: number;
  /** When this becomes true the end is shown, wherever the reader was. */
  isEndWanted?: boolean;
  /** The reader comes to the first rows. */
  onStart?: () => void;
}

export function Feed<T>(props: FeedProps<T>) {
  const { rows, keyOf, draw, label, className, role, isEndWanted = false, onStart } = props;
  const scroller = useRef<HTMLDivElement>(null);
  // The row that has the focus stays in the page, wherever it is scrolled to: with what is typed or opened in it.
  const [heldKey, setHeldKey] = useState<string | number | null>(null);
  const list = useList(scroller, props, heldKey);
  const onScroll = useEndInSight(scroller, list);
  useEffect(() => {
    if (isEndWanted) list.scrollToEnd();
  }, [list, isEndWanted]);

  const shown = list.getVirtualItems();
  const isAtStart = shown.length > 0 && list.range !== null && list.range.startIndex < FEW;
  useEffect(() => {
    if (isAtStart) onStart?.();
  }, [isAtStart, onStart, rows.length]);

  return (
    <div className="feed">
      <div
        ref={scroller}
        className={`feed-scroll ${className}`}
        role={role}
        aria-live="off"
        aria-label={label}
        tabIndex={0}
        onScroll={onScroll}
        onKeyDown={(event) => goToEdge(event, list)}
      >
        <div className="feed-rows" style={{ height: list.getTotalSize() }}>
          {shown.map(({ key, index, start }) => (
            <div
              key={key}
              ref={list.measureElement}
              data-index={index}
              className="feed-row"
              style={{ transform: `translateY(${start}px)` }}
              onFocus={() => setHeldKey(keyOf(rows[index]!, index))}
              onBlur={() => setHeldKey(null)}
            >
              {draw(rows[index]!)}
            </div>
          ))}
        </div>
      </div>
      {shown.length > 0 && !list.isAtEnd() && (
        <button
          type="button"
          className="to-bottom"
          aria-label="Scroll to the newest"
          onClick={() => list.scrollToEnd()}
        >
          <ArrowDown size={18} aria-hidden />
        </button>
      )}
    </div>
  );
}

type List = Virtualizer<HTMLDivElement, HTMLDivElement>;

type Scroller = RefObject<HTMLDivElement | null>;

function useList<T>(scroller: Scroller, props: FeedProps<T>, heldKey: string | number | null): List {
  const { rows, keyOf, heightOf, space = 0 } = props;
  const held = heldKey === null ? -1 : rows.findIndex((row, index) => keyOf(row, index) === heldKey);
  // eslint-disable-next-line react-hooks/incompatible-library -- it must be asked anew in every render, and is.
  const list = useVirtualizer<HTMLDivElement, HTMLDivElement>({
    count: rows.length,
    getScrollElement: () => scroller.current,
    getItemKey: (index) => keyOf(rows[index]!, index),
    estimateSize: (index) => heightOf(rows[index]!),
    anchorTo: "end",
    followOnAppend: true,
    scrollEndThreshold: NEAR,
    overscan: OVERSCAN,
    rangeExtractor: (range) => {
      const indexes = defaultRangeExtractor(range);
      return held < 0 || indexes.includes(held) ? indexes : [...indexes, held].sort((a, b) => a - b);
    },
    paddingStart: space,
    paddingEnd: space,
  });
  useLayoutEffect(() => {
    // Rows above may change at any time: by default they are not made up for while the reader scrolls up.
    list.shouldAdjustScrollPositionOnItemSizeChange = ({ key, start, end }, _, { scrollOffset, itemSizeCache }) =>
      itemSizeCache.has(key) ? end <= (scrollOffset ?? 0) : start < (scrollOffset ?? 0);
    list.scrollToEnd();
  }, [list]);
  return list;
}

/** Where the window, or the place that a long message leaves, becomes smaller, the end stays in it. */
function useEndInSight(scroller: Scroller, list: List) {
  const isLeftAtEnd = useRef(true);
  useLayoutEffect(() => {
    const observer = new ResizeObserver(() => isLeftAtEnd.current && list.scrollToEnd());
    observer.observe(scroller.current!);
    return () => observer.disconnect();
  }, [scroller, list]);
  const before = useRef(0);
  return ({ currentTarget: { scrollHeight, scrollTop, clientHeight } }: UIEvent) => {
    const isAtEnd = scrollHeight - scrollTop - clientHeight <= NEAR;
    // Rows that grow, as in a window that becomes narrower, leave the end behind for a moment: only a reader goes up.
    if (isAtEnd || scrollTop < before.current) isLeftAtEnd.current = isAtEnd;
    before.current = scrollTop;
  };
}

/** By themselves, browsers glide to where the edge was when the key was pressed, and stop where rows are measured. */
function goToEdge(event: KeyboardEvent, list: List): void {
  if (event.target !== event.currentTarget || (event.key !== "Home" && event.key !== "End")) return;
  event.preventDefault();
  if (event.key === "Home") list.scrollToOffset(0);
  else list.scrollToEnd();
}

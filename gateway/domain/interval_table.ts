/**
 * Many intervals of fixed-width numbers, sorted and joined in two typed arrays: a million IPv4 networks take 8 MB, and a lookup is a
 * binary search. Building yields now and then, so that whoever serves at the same time can go on.
 */

/** After this many steps building yields: a few milliseconds. */
const STEPS_PER_YIELD = 1 << 13;
/** Runs of this length are sorted at once before they are merged. */
const RUN = 1 << 9;

/** Sorted, disjoint intervals. */
export interface IntervalTable {
  /** Intervals that are left after joining. */
  readonly size: number;
  /** @param value `width` words. */
  contains(value: readonly number[]): boolean;
}

/** Words of an interval's ends are at `interval * width`, most significant first. */
export interface Intervals {
  /** 32-bit words of one number. */
  readonly width: number;
  readonly starts: Uint32Array;
  /** Inclusive. */
  readonly ends: Uint32Array;
}

function compareAt(
  width: number,
  a: Uint32Array,
  aAt: number,
  b: Uint32Array,
  bAt: number,
): number {
  for (let i = 0; i < width; i++) {
    const difference = a[aAt + i]! - b[bAt + i]!;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Builds a table; a generator, so that the caller decides what happens in between. */
export function* buildIntervals(intervals: Intervals): Generator<void, IntervalTable> {
  const { width, starts, ends } = intervals;
  const order = yield* sortedOrder(intervals);
  const from = new Uint32Array(starts.length);
  const to = new Uint32Array(ends.length);
  let size = 0;
  for (let step = 0; step < order.length; step++) {
    if (step % STEPS_PER_YIELD === 0) yield;
    const at = order[step]! * width;
    const last = (size - 1) * width;
    // CIDR networks are disjoint or nested: what begins inside the last one ends inside it, or stretches it.
    if (size > 0 && compareAt(width, starts, at, to, last) <= 0) {
      if (compareAt(width, ends, at, to, last) > 0) to.set(ends.subarray(at, at + width), last);
      continue;
    }
    from.set(starts.subarray(at, at + width), size * width);
    to.set(ends.subarray(at, at + width), size * width);
    size++;
  }
  return table(width, from.slice(0, size * width), to.slice(0, size * width));
}

/** Merge sort from the bottom up over indexes: no step of it takes long. */
function* sortedOrder({ width, starts }: Intervals): Generator<void, Uint32Array> {
  const count = starts.length / width;
  let order = Uint32Array.from({ length: count }, (_, i) => i);
  let spare = new Uint32Array(count);
  const compare = (a: number, b: number) => compareAt(width, starts, a * width, starts, b * width);
  for (let at = 0; at < count; at += RUN) {
    order.subarray(at, at + RUN).sort(compare);
    yield;
  }
  for (let run = RUN; run < count; run *= 2) {
    for (let low = 0; low < count; low += 2 * run) {
      const middle = Math.min(low + run, count);
      const high = Math.min(low + 2 * run, count);
      // Lists mostly come in order.
      if (middle === high || compare(order[middle - 1]!, order[middle]!) <= 0) {
        spare.set(order.subarray(low, high), low);
        continue;
      }
      for (let left = low, right = middle, at = low; at < high; at++) {
        if (at % STEPS_PER_YIELD === 0) yield;
        const takeLeft = left < middle && (right >= high || compare(order[left]!, order[right]!) <= 0);
        spare[at] = takeLeft ? order[left++]! : order[right++]!;
      }
    }
    [order, spare] = [spare, order];
  }
  return order;
}

/** One array for each word, so that a search mostly stays in the first, which fits into the processor's cache. */
function planesOf(width: number, numbers: Uint32Array): Uint32Array[] {
  const count = numbers.length / width;
  return Array.from(
    { length: width },
    (_, word) => Uint32Array.from({ length: count }, (_, i) => numbers[i * width + word]!),
  );
}

/** Whether the number at `at` is at most `wanted`. */
function isAtMost(planes: readonly Uint32Array[], at: number, wanted: readonly number[]): boolean {
  for (let word = 0; word < planes.length; word++) {
    const difference = planes[word]![at]! - wanted[word]!;
    if (difference !== 0) return difference < 0;
  }
  return true;
}

function table(width: number, from: Uint32Array, to: Uint32Array): IntervalTable {
  const size = from.length / width;
  const starts = planesOf(width, from);
  const ends = planesOf(width, to);
  const equalEnd = (at: number, wanted: readonly number[]) =>
    ends.every((plane, i) => plane[at] === wanted[i]);
  return {
    size,
    contains(value) {
      let low = 0;
      let high = size;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (isAtMost(starts, middle, value)) low = middle + 1;
        else high = middle;
      }
      return low > 0 && (!isAtMost(ends, low - 1, value) || equalEnd(low - 1, value));
    },
  };
}

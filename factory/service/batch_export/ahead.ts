/** Work that is begun before it is needed, on items that come one after the other. */

/** Items that are worked on at once: signatures are verified on other threads. */
export const AHEAD = 64;

/** Each item with the result of its work, in the order of the items; at most {@link AHEAD} are under way. */
export async function* ahead<T, R>(
  items: AsyncIterable<T>,
  work: (item: T) => Promise<R>,
): AsyncGenerator<readonly [T, R]> {
  const underWay: (readonly [T, Promise<R>])[] = [];
  for await (const item of items) {
    underWay.push([item, work(item)]);
    if (underWay.length < AHEAD) continue;
    const [first, result] = underWay.shift()!;
    yield [first, await result];
  }
  for (const [item, result] of underWay) yield [item, await result];
}

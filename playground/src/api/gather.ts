/** All that a list of the API gives, page after page; of `most`, that many at the most. */
export async function gather<T>(pages: AsyncIterable<T>, most = Infinity): Promise<T[]> {
  const all: T[] = [];
  for await (const item of pages) {
    all.push(item);
    if (all.length >= most) break;
  }
  return all;
}

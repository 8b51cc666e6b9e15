/** Where a benchmark keeps its files. */

import { HOME } from "../home.ts";

/** A folder of the caller's own below `rk`'s home, removed with everything in it when it is disposed of. */
export async function benchFolder(): Promise<AsyncDisposable & { readonly folder: string }> {
  await Deno.mkdir(HOME, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: HOME, prefix: "bench-" });
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

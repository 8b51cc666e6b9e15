import assert from "node:assert/strict";
import { Cancellation } from "./cancellation.ts";
import { Deadlines } from "./deadlines.ts";

Deno.test("Deadlines come once, in any order, never early, and not when they were taken back", async () => {
  const deadlines = new Deadlines(() => performance.now());
  const began = performance.now();
  let early = 0;
  let cleared = false;
  const late = (ms: number) =>
    new Promise<void>((resolve) =>
      deadlines.set(began + ms, () => {
        if (performance.now() - began < ms) early++;
        resolve();
      })
    );
  const all = [late(60), late(5), late(0)];
  deadlines.clear(deadlines.set(began + 1, () => cleared = true));
  await Promise.all(all);
  assert.deepEqual([early, cleared], [0, false]);
  deadlines.set(began + 60_000, () => cleared = true);
  deadlines.close();
});

Deno.test("Cancellation tells everybody once, and nobody who no longer listens", () => {
  const cancellation = new Cancellation();
  const told: string[] = [];
  const gone = () => told.push("gone");
  cancellation.addEventListener("abort", () => told.push("first"));
  cancellation.addEventListener("abort", gone);
  cancellation.addEventListener("abort", () => told.push("second"));
  cancellation.removeEventListener("abort", gone);
  cancellation.abort();
  cancellation.abort();
  assert.deepEqual([cancellation.aborted, told], [true, ["first", "second"]]);
});

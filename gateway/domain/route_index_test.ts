import assert from "node:assert/strict";
import fc from "fast-check";
import { indexPaths } from "./route_index.ts";
import { compilePathPattern } from "./routes.ts";

Deno.test("indexPaths() finds what each pattern by itself finds, in the order of the table", () => {
  const segment = fc.constantFrom("a", "b", "{x}");
  const pattern = fc.tuple(fc.array(segment, { maxLength: 4 }), fc.boolean()).map(([segments, open]) =>
    `/${[...segments, ...(open ? ["**"] : [])].join("/")}`
  );
  const path = fc.array(fc.constantFrom("a", "b", "c", ""), { maxLength: 5 }).map((all) =>
    `/${all.join("/")}`
  );
  fc.assert(fc.property(fc.array(pattern, { maxLength: 12 }), path, (patterns, asked) => {
    const each = patterns.flatMap((text, i) => compilePathPattern(text)(asked) ? [i] : []);
    assert.deepEqual(indexPaths(patterns)(asked), each);
  }));
});

import assert from "node:assert/strict";
import { readUndocumented } from "./static.ts";

Deno.test("readUndocumented() names exports without a docstring, and no others", () => {
  const file = "file:///x.ts";
  const symbol = (name: string, declarationKind: string, kind: string, doc?: string) => ({
    name,
    declarations: [{
      declarationKind,
      kind,
      location: { filename: file, line: 7 },
      ...(doc ? { jsDoc: { doc } } : {}),
    }],
  });
  const symbols = [
    symbol("bare", "export", "function"),
    symbol("told", "export", "function", "Does it."),
    symbol("own", "private", "function"),
    symbol("again", "export", "reference"),
  ];
  assert.deepEqual(readUndocumented({ nodes: { [file]: { symbols } } }), [`${file}:7: bare`]);
});

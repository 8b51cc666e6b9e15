import assert from "node:assert/strict";
import fc from "fast-check";
import { backupIdentifier, backupTag, MAX_BACKUP_IDENTIFIER } from "./backup_identifier.ts";

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

Deno.test("backupIdentifier() finds one text, and nothing else", () => {
  const header = { header: "backup-id" };
  assert.equal(backupIdentifier(header, [["a", "x"], ["backup-id", "b"]], undefined), "b");
  assert.equal(backupIdentifier(header, [["backup-id", "b"], ["backup-id", "c"]], undefined), undefined);
  assert.equal(backupIdentifier(header, [["backup-id", ""]], undefined), undefined);
  const long = "x".repeat(MAX_BACKUP_IDENTIFIER);
  assert.equal(backupIdentifier(header, [["backup-id", long]], undefined), long);
  assert.equal(backupIdentifier(header, [["backup-id", `${long}x`]], undefined), undefined);

  const pointer = { pointer: "/a~1b/m~0n/0" };
  assert.equal(backupIdentifier(pointer, [], bytes({ "a/b": { "m~n": ["found"] } })), "found");
  for (const wrong of [{}, null, [], { "a/b": { "m~n": [1] } }, { "a/b": { "m~n": [] } }, { "a/b": null }]) {
    assert.equal(backupIdentifier(pointer, [], bytes(wrong)), undefined, JSON.stringify(wrong));
  }
  assert.equal(backupIdentifier({ pointer: "/__proto__/x" }, [], bytes({})), undefined);
  assert.equal(backupIdentifier({ pointer: "/constructor/name" }, [], bytes({})), undefined);
  assert.equal(backupIdentifier(pointer, [], undefined), undefined);
  assert.equal(backupIdentifier(pointer, [], new Uint8Array([0xff, 0x7b])), undefined);
  fc.assert(fc.property(fc.uint8Array(), (body) => {
    backupIdentifier(pointer, [], body);
  }));
});

Deno.test("backupTag() tells nothing, and two providers' tags cannot be joined", () => {
  const [ours, theirs] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)];
  assert.match(backupTag(ours, "b-1"), /^[0-9a-f]{32}$/);
  assert.equal(backupTag(ours, "b-1"), backupTag(ours, "b-1"));
  assert.equal(
    new Set([ours, theirs].flatMap((key) => ["b-1", "b-2"].map((id) => backupTag(key, id)))).size,
    4,
  );
});

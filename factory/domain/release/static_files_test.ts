import { deepEqual, equal } from "node:assert/strict";
import { partOf, servedFile } from "./static_files.ts";

Deno.test("servedFile() serves what is published and nothing else", () => {
  const served = [
    "metadata/timestamp.json",
    "metadata/12.recovery-key.json",
    `targets/recovery-key/1.1/${"0a".repeat(32)}.recovery-key-1.1.rkpkg`,
    "log/checkpoint",
    "log/tile/0/000.p/1",
    "log/tile/entries/x001/067",
    `log/proofs/${"0a".repeat(32)}`,
    "halt.json",
  ];
  deepEqual(served.filter((path) => servedFile(path) === undefined), []);
  const kept = served.filter((path) => servedFile(path)?.keeping === "for-ever");
  deepEqual(kept, [served[1], served[2], served[4], served[5]]);
  for (
    const path of [
      "",
      "release.json",
      "private/log.sqlite",
      "pending/root.json",
      "metadata/",
      "metadata/root.json",
      "metadata/../release.json",
      "metadata/1.../../x.json",
      "log/.unfinished/lock",
      "log/tile/../checkpoint",
      "log//checkpoint",
      "targets/recovery-key/1.1/recovery-key-1.1.rkpkg",
    ]
  ) equal(servedFile(path), undefined, path);
});

Deno.test("partOf() reads one range of bytes", () => {
  const cases: readonly (readonly [string | null, ReturnType<typeof partOf>])[] = [
    [null, undefined],
    ["bytes=0-", { first: 0, last: 99 }],
    ["bytes=40-", { first: 40, last: 99 }],
    ["bytes=40-49", { first: 40, last: 49 }],
    ["bytes=40-1000", { first: 40, last: 99 }],
    ["bytes=-10", { first: 90, last: 99 }],
    ["bytes=-1000", { first: 0, last: 99 }],
    ["bytes=100-", "outside"],
    ["bytes=-0", "outside"],
    ["bytes=-", undefined],
    ["bytes=5-4", undefined],
    ["bytes=0-1,4-5", undefined],
    ["items=0-1", undefined],
  ];
  for (const [range, expected] of cases) deepEqual(partOf(range, 100), expected, String(range));
});

import assert from "node:assert/strict";
import { sha256 } from "@noble/hashes/sha2.js";
import { toUtf8 } from "../base/bytes.ts";
import { logPage, PAGE_ENTRIES } from "./page.ts";
import type { LogSource } from "./source.ts";
import {
  filesSource,
  type LogFiles,
  logFiles,
  TEST_BEGINNING,
  TEST_POLICY,
  testEntries,
} from "./testing/log_folder.ts";

const page = (source: LogSource, process = "gateway a") =>
  logPage({ process, source, policy: TEST_POLICY, now: () => TEST_BEGINNING });
const body = async (files: LogFiles) => await (await page(filesSource(files)).request("/")).text();

Deno.test("logPage() shows the newest entries, newest first, and that they verify", async () => {
  const text = await body(await logFiles(testEntries(600)));
  assert.match(text, /<strong>Verified<\/strong>/);
  assert.match(text, /<title>Log of gateway a<\/title>/);
  const indexes = [...text.matchAll(/<tr>\s*<td class="number">\s*(\d+)\s*</g)].map(([, index]) =>
    Number(index)
  );
  assert.deepEqual(indexes, Array.from({ length: PAGE_ENTRIES }, (_, i) => 599 - i));
  assert.match(text, /refused: rate-limited/);
  assert.match(text, /3 of 3 cosigned, 2 needed/);
  assert.match(await body(await logFiles([])), /No entries to show/);
});

Deno.test("logPage() says what does not verify, by its code", async () => {
  const files = await logFiles(testEntries(600));
  files.get("tile/entries/002.p/88")![10]! ^= 1;
  const changed = await body(files);
  assert.match(changed, /Does not verify: LOG_ENTRY_HASH/);
  assert.match(changed, /<title>NOT VERIFIED: /);
  assert.match(await body(new Map()), /Does not verify: LOG_CHECKPOINT_MISSING/);
  const foreign = await body(await logFiles([toUtf8("<script>alert(1)</script>")]));
  assert.match(foreign, /1 of these entries are none of ours/);
  assert.match(foreign, /not an entry of ours: LEAF_NOT_CANONICAL/);
  assert.ok(!foreign.includes("<script"));
});

Deno.test("logPage() tells of a log that went back since the page was last looked at", async () => {
  let files = await logFiles(testEntries(20));
  const app = page({ name: "log", read: (path) => Promise.resolve(files.get(path)) });
  assert.match(await (await app.request("/")).text(), /<strong>Verified/);
  files = await logFiles(testEntries(10));
  assert.match(await (await app.request("/")).text(), /LOG_ROLLBACK/);
  files = await logFiles(testEntries(30));
  assert.match(await (await app.request("/")).text(), /<strong>Verified/);
});

Deno.test("logPage() escapes, runs no script, and may not be framed or cached", async () => {
  const source: LogSource = { ...filesSource(new Map()), name: "<img src=x onerror=alert(1)>" };
  const response = await page(source, "<script>alert(1)</script>").request("/");
  const text = await response.text();
  assert.ok(!text.includes("<script") && !text.includes("<img"), text);
  assert.match(text, /&lt;script&gt;/);
  const policy = response.headers.get("content-security-policy")!;
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.ok(!policy.includes("unsafe"));
  const style = /<style>([^]*)<\/style>/.exec(text)![1]!;
  const digest = sha256(toUtf8(style)).toBase64();
  assert.ok(policy.includes(`style-src 'sha256-${digest}'`));
  assert.ok(!/<[^>]* (style|on\w+)=/.test(text), "no inline style or handler, which the policy would refuse");
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal(response.headers.get("x-content-type-options"), "nosniff");
});

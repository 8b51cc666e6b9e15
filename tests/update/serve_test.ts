import { deepEqual, equal, match } from "node:assert/strict";
import { answer, releaseDocument } from "factory/app/release_serve_main.ts";

Deno.test("a repository is served: whole, in parts, and not again when it is the same; nothing else of the folder", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${folder}/metadata`);
    const ready = () => answer(folder, new Request("https://releases.example/readyz"));
    equal((await ready()).status, 503, "nothing is published");
    await Deno.writeTextFile(`${folder}/metadata/timestamp.json`, "0123456789");
    await Deno.writeTextFile(`${folder}/release.json`, "not this");
    equal((await ready()).status, 200);
    const get = (path: string, headers: Record<string, string> = {}, method = "GET") =>
      answer(folder, new Request(`https://releases.example/${path}`, { method, headers }));
    const whole = await get("metadata/timestamp.json");
    equal(whole.status, 200);
    equal(await whole.text(), "0123456789");
    equal(whole.headers.get("cache-control"), "no-cache");
    const etag = whole.headers.get("etag")!;
    const part = await get("metadata/timestamp.json", { range: "bytes=4-", "if-range": etag });
    deepEqual([part.status, await part.text(), part.headers.get("content-range")], [
      206,
      "456789",
      "bytes 4-9/10",
    ]);
    const other = await get("metadata/timestamp.json", { range: "bytes=4-", "if-range": '"other"' });
    deepEqual([other.status, await other.text()], [200, "0123456789"]);
    equal((await get("metadata/timestamp.json", { range: "bytes=10-" })).status, 416);
    equal((await get("metadata/timestamp.json", { "if-none-match": etag })).status, 304);
    const head = await get("metadata/timestamp.json", {}, "HEAD");
    deepEqual([head.headers.get("content-length"), await head.text()], ["10", ""]);
    equal((await get("metadata/1.root.json")).status, 404);
    equal((await get("release.json")).status, 404);
    equal((await get("metadata/timestamp.json", {}, "POST")).status, 405);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the document describes every path that is served", () => {
  const paths = Object.keys((releaseDocument() as { paths: object }).paths);
  match(paths.join(" "), /\/metadata\/\{file\}/);
  deepEqual(paths.filter((path) => path.startsWith("/log")).length, 5);
});

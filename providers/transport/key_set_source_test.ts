/** A source over a real server: fresh, bounded, and an old set while none newer comes. */

import assert from "node:assert/strict";
import { createLogger } from "shared/base/log.ts";
import { KEY_SET_MAX, KeySetSource } from "./key_set_source.ts";

const SILENT = createLogger("test", { level: "error", write: () => {} });

Deno.test("KeySetSource keeps a set, refreshes it, and bounds what it reads", async (t) => {
  let answer: () => Response = () => new Response("one\n");
  let asked = 0;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, () => {
    asked++;
    return answer();
  });
  let now = 0;
  const make = () =>
    new KeySetSource({
      url: `http://127.0.0.1:${server.addr.port}/`,
      refreshSeconds: 60,
      clock: { monotonic: () => now },
      log: SILENT,
    });
  using source = make();
  /** What comes once a refresh that runs behind an answer is over. */
  const refreshed = async (wanted: string) => {
    while (await source.current() !== wanted) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  try {
    await t.step("many at once ask once; within its time nobody asks again", async () => {
      assert.deepEqual(new Set(await Promise.all([1, 2, 3].map(() => source.current()))), new Set(["one"]));
      answer = () => new Response("two");
      assert.equal(await source.current(), "one");
      assert.equal(asked, 1);
    });
    await t.step("after its time a newer one comes", async () => {
      now += 60_000;
      await refreshed("two");
      assert.equal(asked, 2);
    });
    for (
      const [name, bad] of Object.entries({
        "a refusal": () => new Response("no", { status: 500 }),
        "another address": () => Response.redirect("http://127.0.0.1:9/", 302),
        "an endless set": () => new Response("x".repeat(KEY_SET_MAX + 1)),
      })
    ) {
      await t.step(`${name} leaves what is known, and is asked again after a pause`, async () => {
        answer = bad;
        now += 60_000;
        const before = asked;
        while (asked === before) {
          assert.equal(await source.current(), "two");
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        using first = make();
        assert.equal(await first.current(), null);
        assert.equal(await first.current(), null);
        assert.equal(await source.current(), "two");
      });
    }
  } finally {
    await server.shutdown();
  }
});

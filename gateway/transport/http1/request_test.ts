import assert from "node:assert/strict";
import type { TLSSocket } from "node:tls";
import { Http1Request } from "./request.ts";

function listen(request: Http1Request): { data: Uint8Array[]; told: string[] } {
  const seen = { data: [] as Uint8Array[], told: [] as string[] };
  request.on("data", (part) => void seen.data.push(part));
  for (const event of ["end", "close"] as const) request.on(event, () => void seen.told.push(event));
  return seen;
}

const make = (wanted = () => {}) => new Http1Request({} as TLSSocket, "POST", wanted);
const turn = () => new Promise<void>((resolve) => queueMicrotask(resolve));

Deno.test("Http1Request gives what waited in one piece, however many it came in, and then its end", async () => {
  const request = make();
  for (let i = 0; i < 10_000; i++) {
    assert.equal(request.push(Uint8Array.of(i % 251)), false, "nobody wants it yet");
  }
  const seen = listen(request);
  request.resume();
  await turn();
  assert.equal(seen.data.length, 1);
  assert.deepEqual(new Uint8Array(seen.data[0]!), Uint8Array.from({ length: 10_000 }, (_, i) => i % 251));
  assert.equal(request.push(Uint8Array.of(1, 2)), true);
  request.finish();
  assert.equal(seen.data.length, 2);
  assert.deepEqual(seen.told, ["end"]);
  assert.ok(request.complete);
});

Deno.test("Http1Request holds back when it is paused, in the middle of telling too", async () => {
  let wanted = 0;
  const request = make(() => void wanted++);
  const seen = listen(request);
  request.on("data", () => request.pause());
  request.push(Uint8Array.of(1));
  request.resume();
  await turn();
  assert.deepEqual([seen.data.length, wanted], [1, 0]);
  assert.equal(request.push(Uint8Array.of(2)), false);
  request.finish();
  assert.deepEqual([seen.data.length, seen.told], [1, []]);
  request.resume();
  await turn();
  assert.deepEqual([seen.data.length, seen.told], [2, []], "paused again by the last piece");
  request.resume();
  await turn();
  assert.deepEqual(seen.told, ["end"]);
});

Deno.test("Http1Request says when the rest does not come, and forgets what waited", async () => {
  const request = make();
  const seen = listen(request);
  request.push(Uint8Array.of(1));
  request.breakOff();
  request.breakOff();
  request.resume();
  await turn();
  assert.deepEqual([seen.data, seen.told, request.complete], [[], ["close"], false]);
  assert.equal(request.push(Uint8Array.of(2)), true, "nothing is held back that nobody will take");
});

Deno.test("Http1Request asks for more when it may flow", async () => {
  let wanted = 0;
  const request = make(() => void wanted++);
  request.resume();
  request.resume();
  await turn();
  assert.equal(wanted, 1);
});

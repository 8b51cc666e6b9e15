import assert from "node:assert/strict";
import { concat } from "shared/base/bytes.ts";
import { answerFrame, readFrames, serveApdus } from "./apdu_server.ts";

async function* chunks(bytes: Uint8Array, size: number) {
  for (let i = 0; i < bytes.length; i += size) yield await Promise.resolve(bytes.slice(i, i + size));
}

const FRAMES = concat(
  Uint8Array.of(0, 0, 0, 5, 0xe0, 4, 2, 0, 0),
  Uint8Array.of(0, 0, 0, 0),
  Uint8Array.of(0, 0, 0, 4, 0xe0, 0x53, 0, 0),
);

Deno.test("readFrames() cuts a stream however it comes, and ends at a length that no APDU has", async () => {
  for (let size = 1; size <= FRAMES.length; size++) {
    assert.deepEqual((await Array.fromAsync(readFrames(chunks(FRAMES, size)))).map(({ length }) => length), [
      5,
      0,
      4,
    ]);
  }
  const tooLong = concat(FRAMES, Uint8Array.of(0, 0, 1, 6), new Uint8Array(300));
  assert.equal((await Array.fromAsync(readFrames(chunks(tooLong, 7)))).length, 3);
  const cut = FRAMES.slice(0, -1);
  assert.equal((await Array.fromAsync(readFrames(chunks(cut, 3)))).length, 2);
});

Deno.test("answerFrame() has the length of the data without the status word", () => {
  assert.deepEqual(answerFrame(Uint8Array.of(0x90, 0x00)), Uint8Array.of(0, 0, 0, 0, 0x90, 0x00));
  assert.deepEqual(answerFrame(Uint8Array.of(7, 8, 0x90, 0x00)), Uint8Array.of(0, 0, 0, 2, 7, 8, 0x90, 0x00));
});

Deno.test("serveApdus() serves one program after the other; each that leaves ends what it began", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  let ended = 0;
  const served = serveApdus(listener, {
    process: (apdu) => Promise.resolve(concat(apdu, Uint8Array.of(0x90, 0))),
    end: () => ended++,
  });
  for (let round = 1; round <= 3; round++) {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
    await connection.write(FRAMES.slice(0, 9));
    const answer = new Uint8Array(11);
    for (let read = 0; read < answer.length;) read += (await connection.read(answer.subarray(read)))!;
    assert.deepEqual(answer, concat(Uint8Array.of(0, 0, 0, 5), FRAMES.slice(4, 9), Uint8Array.of(0x90, 0)));
    connection.close();
  }
  const last = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  last.close();
  listener.close();
  await served;
  assert.ok(ended >= 3);
});

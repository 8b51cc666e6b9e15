import assert from "node:assert/strict";
import { toUtf8 } from "shared/base/bytes.ts";
import { loadVector } from "tests/vectors/load.ts";
import { parseSignatureLine } from "../note.ts";
import { cosignatureVerifier } from "../cosignature.ts";
import { formatVerifierKey, SIGNATURE_TYPE_ED25519, verifierKey } from "../vkey.ts";
import { parseAddCheckpoint } from "./request.ts";
import { testWitness, WITNESS_KEY } from "./testing/test_witness.ts";

interface Session {
  readonly log_public_key_hex: string;
  readonly count: number;
  readonly data: readonly {
    readonly path: string;
    readonly request: string;
    readonly status: number;
    readonly asserts: string;
  }[];
}

const SESSION = loadVector<Session>("tlog-witness-sequence.json");
const ORIGIN = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562";

Deno.test("the recorded session is answered as it was, in its order", async (t) => {
  const publicKey = Uint8Array.fromHex(SESSION.log_public_key_hex);
  using test = testWitness([{
    origin: ORIGIN,
    vkey: formatVerifierKey(verifierKey(ORIGIN, SIGNATURE_TYPE_ED25519, publicKey)),
  }]);
  assert.equal(SESSION.data.length, SESSION.count);
  for (const [index, { path, request, status, asserts }] of SESSION.data.entries()) {
    await t.step(`${index + 1}: ${status}, ${asserts}`, async () => {
      assert.equal(path, "/add-checkpoint");
      const answer = await test.witness.addCheckpoint(toUtf8(request));
      // The recording is older than the text: an unknown log is 404 now, its words stay.
      const unknown = asserts.includes("unknown log");
      assert.equal(answer.status, unknown ? 404 : status);
      const contains = /^body contains "(.*)"$/.exec(asserts)?.[1];
      const equals = /^body == "(.*)\\n"$/.exec(asserts)?.[1];
      assert.ok(contains !== undefined || equals !== undefined);
      if (contains !== undefined) assert.ok(answer.body.includes(contains), answer.body);
      if (equals !== undefined) {
        assert.equal(answer.body, `${equals}\n`);
        assert.equal(answer.contentType, "text/x.tlog.size");
      }
      if (answer.status === 200) {
        const { note } = parseAddCheckpoint(toUtf8(request));
        const { signature } = parseSignatureLine(answer.body.slice(0, -1));
        assert.ok(cosignatureVerifier(WITNESS_KEY).verify(note!.text, signature));
      }
    });
  }
  assert.equal(test.store.latest(ORIGIN)?.size, 5);
});

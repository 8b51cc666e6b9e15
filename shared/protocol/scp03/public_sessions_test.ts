/** SCP03 sessions that other people published: cards and tools that had no part in the recorded vectors. */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { decodeCommand, encodeCommand } from "shared/protocol/apdu/command.ts";
import { response } from "shared/protocol/apdu/response.ts";
import { parseInitializeUpdate, startHandshake } from "./host_session.ts";
import { deriveSessionKeys, pseudoRandomCardChallenge } from "./keys.ts";
import {
  cardSession,
  hostSession,
  type SessionVector,
  unauthenticatedCardSession,
  vectorKeys,
} from "./testing/session_vector.ts";

interface PublicSession extends SessionVector {
  /** AID of the domain, where the card challenge is pseudo-random. */
  readonly aid?: string;
  readonly session_keys?: { readonly enc: string; readonly mac: string; readonly rmac: string };
}

const DATA = new URL("../../../tests/vectors/public/scp03_sessions.json", import.meta.url);
const { scp03, refused } = JSON.parse(Deno.readTextFileSync(DATA)) as {
  scp03: PublicSession[];
  refused: PublicSession[];
};

Deno.test(`the host's end gives and takes the bytes of ${scp03.length} public sessions`, async (t) => {
  assert.equal(scp03.length, 6);
  for (const vector of scp03) {
    const { exchanges = [] } = vector;
    await t.step(`${vector.id}: level ${vector.security_level}, ${exchanges.length} commands`, () => {
      const hostChallenge = fromHex(vector.host_challenge);
      const start = startHandshake({ keyVersion: vector.keys.kvn, hostChallenge });
      assert.equal(toHex(encodeCommand(start.command)), vector.initialize_update.capdu);
      const { session, externalAuthenticate } = hostSession(vector);
      assert.equal(toHex(encodeCommand(externalAuthenticate)), vector.external_authenticate.capdu);
      for (const { name, plain, wrapped, rsp_wrapped_data, rsp_plain_data, rsp_sw } of exchanges) {
        assert.equal(toHex(encodeCommand(session.wrap(decodeCommand(fromHex(plain))))), wrapped, name);
        const answer = session.unwrap(response(parseInt(rsp_sw!, 16), fromHex(rsp_wrapped_data!)));
        assert.equal(toHex(answer.data), rsp_plain_data, name);
      }
    });
  }
});

Deno.test("the card's end takes the hosts of the public sessions, and answers with their cards' bytes", () => {
  for (const vector of scp03) {
    const info = parseInitializeUpdate(fromHex(vector.initialize_update.rapdu_data));
    assert.equal(
      toHex(unauthenticatedCardSession(vector).cardCryptogram),
      toHex(info.cardCryptogram),
      vector.id,
    );
    const session = cardSession(vector);
    for (const { name, plain, wrapped, rsp_wrapped_data, rsp_plain_data, rsp_sw } of vector.exchanges ?? []) {
      const unwrapped = session.unwrap(decodeCommand(fromHex(wrapped)));
      assert.ok("data" in unwrapped, `${vector.id}: ${name}`);
      assert.equal(toHex(unwrapped.data), toHex(decodeCommand(fromHex(plain)).data), name);
      const answer = session.wrap(response(parseInt(rsp_sw!, 16), fromHex(rsp_plain_data!)));
      assert.equal(toHex(answer.data), rsp_wrapped_data, name);
    }
  }
});

Deno.test("pseudo-random card challenges and printed session keys of the public sessions come out the same", () => {
  let challenges = 0;
  for (const vector of scp03) {
    const info = parseInitializeUpdate(fromHex(vector.initialize_update.rapdu_data));
    const keys = vectorKeys(vector);
    if (vector.aid !== undefined) {
      const expected = pseudoRandomCardChallenge(keys.enc, info.sequenceCounter!, fromHex(vector.aid), "S8");
      assert.equal(toHex(info.cardChallenge), toHex(expected), vector.id);
      challenges++;
    }
    if (vector.session_keys === undefined) continue;
    const session = deriveSessionKeys(keys, fromHex(vector.host_challenge), info.cardChallenge);
    const { enc, mac, rmac } = vector.session_keys;
    assert.deepEqual([session.enc, session.mac, session.rmac].map((key) => toHex(key.reveal())), [
      enc,
      mac,
      rmac,
    ]);
  }
  assert.equal(challenges, 4);
});

Deno.test("a published handshake of a card with other keys is refused before anything is sent", () => {
  for (const vector of refused) {
    assert.throws(() => hostSession(vector), { code: "SCP03_CARD_CRYPTOGRAM" });
  }
});

import assert from "node:assert/strict";
import { CodedError } from "shared/base/errors.ts";
import { ecdsaSign, generatePrivateKey, publicKeyOf } from "shared/crypto/secp256k1.ts";
import {
  finishRevocationList,
  type RevocationList,
  revocationListMessage,
} from "shared/protocol/recovery_key/revocation_list.ts";
import { SYSTEM_RANDOM } from "shared/transport/random.ts";
import { readRevocations } from "./wallet_revocations.ts";

const key = generatePrivateKey(SYSTEM_RANDOM);
const issuer = publicKeyOf(key);
const NOW = 1_900_000_000;

function listOf(number: number, change: Partial<RevocationList> = {}, signer = key): string {
  const list = { number, thisUpdate: NOW - 10, nextUpdate: NOW + 10, revoked: [], ...change };
  const message = revocationListMessage(list, publicKeyOf(signer));
  return finishRevocationList(message, ecdsaSign(signer, message));
}

Deno.test("readRevocations() takes newer lists only, from a file or an address, whoever gives them", async () => {
  const memory = await Deno.makeTempDir({ prefix: "rk-revocations-" });
  let served: string | undefined;
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => served === undefined ? new Response("no", { status: 404 }) : new Response(served),
  );
  const address = `http://127.0.0.1:${server.addr.port}/v1/revocations`;
  try {
    const file = `${memory}/list.jws`;
    const outcome = async (from: string, by = issuer) => {
      try {
        return (await readRevocations({ from, memory }, by, NOW)).number;
      } catch (error) {
        assert.ok(error instanceof CodedError, String(error));
        return error.code;
      }
    };
    const take = async (text: string) => {
      await Deno.writeTextFile(file, text);
      return await outcome(file);
    };
    assert.equal(await take(listOf(7)), 7);
    assert.equal(await take(listOf(7)), 7);
    assert.equal(await take(listOf(9)), 9);
    assert.equal(await take(listOf(8)), "REVOCATION_LIST_ROLLED_BACK");
    assert.equal(await take(listOf(10, { nextUpdate: NOW })), "REVOCATION_LIST_STALE");
    assert.equal(
      await take(listOf(11, { thisUpdate: NOW + 9_000, nextUpdate: NOW + 9_999 })),
      "REVOCATION_LIST_FUTURE",
    );
    assert.equal(await take(listOf(12, {}, generatePrivateKey(SYSTEM_RANDOM))), "REVOCATION_LIST_SIGNATURE");
    assert.equal(await take("nonsense"), "REVOCATION_LIST_MALFORMED");
    // None of the refused ones was remembered.
    assert.equal(await take(listOf(9)), 9);
    assert.equal(await outcome(`${memory}/nothing.jws`), "WALLET_REVOCATIONS");
    assert.equal(await outcome(address), "WALLET_REVOCATIONS");
    served = listOf(20);
    assert.equal(await outcome(address), 20);
    served = listOf(19);
    assert.equal(await outcome(address), "REVOCATION_LIST_ROLLED_BACK");
    // Another issuer has numbers of its own.
    const other = generatePrivateKey(SYSTEM_RANDOM);
    await Deno.writeTextFile(file, listOf(3, {}, other));
    assert.equal(await outcome(file, publicKeyOf(other)), 3);
    // A memory that says nothing readable is no reason to begin anew.
    for await (const entry of Deno.readDir(memory)) {
      if (entry.name.endsWith(".number")) await Deno.writeTextFile(`${memory}/${entry.name}`, "soon");
    }
    assert.equal(await outcome(address), "WALLET_REVOCATIONS");
  } finally {
    await Deno.remove(memory, { recursive: true });
  }
});

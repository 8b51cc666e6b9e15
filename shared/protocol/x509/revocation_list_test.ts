import assert from "node:assert/strict";
import { DAY_MS, makeAuthority } from "./authority.ts";
import { DER, der, oid, time, toPem, unsigned } from "./der.ts";
import { X509Crl } from "./library.ts";
import { makeCrl, signCrl } from "./revocation.ts";
import { parseRevocationList, replacementFault } from "./revocation_list.ts";
import { ECDSA_SHA256, signStructure } from "./signed.ts";
import { listFault } from "./trust.ts";
import { p256Sign } from "shared/crypto/p256.ts";
import { Secret } from "shared/base/secret.ts";

const now = Date.UTC(2026, 5, 1);
const authority = await makeAuthority("lists", { now });
const text = (value: string) => new TextEncoder().encode(value);
const key = new Secret(new Uint8Array(32).fill(7));
const sign = (content: Uint8Array) => Promise.resolve(p256Sign(key, content));

function parsed(data: Uint8Array) {
  const reading = parseRevocationList(data);
  if (reading.kind === "fault") throw new Error(`${reading.fault}: ${reading.detail}`);
  return reading.list;
}

/** A list with given extensions of the list and of its one entry. */
async function listWith(extensions: Uint8Array[], entry: Uint8Array[] = []): Promise<Uint8Array> {
  const content = der(
    DER.sequence,
    der(DER.integer, Uint8Array.of(1)),
    ECDSA_SHA256,
    new Uint8Array(authority.certificate.subjectName.toArrayBuffer()),
    time(now),
    time(now + DAY_MS),
    der(
      DER.sequence,
      der(
        DER.sequence,
        unsigned(Uint8Array.of(5)),
        time(now),
        ...(entry.length > 0 ? [der(DER.sequence, ...entry)] : []),
      ),
    ),
    ...(extensions.length > 0 ? [der(DER.context0, der(DER.sequence, ...extensions))] : []),
  );
  return await signStructure(content, sign);
}

const extension = (name: string, critical: boolean, value: Uint8Array) =>
  der(
    DER.sequence,
    oid(name),
    ...(critical ? [der(DER.boolean, Uint8Array.of(0xff))] : []),
    der(DER.octetString, value),
  );
const number = (n: number) => extension("2.5.29.20", false, unsigned(Uint8Array.of(n)));
const faultOf = (data: Uint8Array) => {
  const reading = parseRevocationList(data);
  return reading.kind === "fault" ? reading.fault : "none";
};

Deno.test("parseRevocationList() reads what the library reads, from PEM and DER", async () => {
  const pem = await makeCrl(authority, { now, number: 0x80n, revoked: ["00ff", "1", "8001020304"] });
  const list = parsed(text(pem));
  const other = new X509Crl(pem);
  assert.deepEqual([...list.revoked].sort(), ["1", "8001020304", "ff"]);
  assert.equal(other.entries.length, 3);
  assert.equal(list.thisUpdate, other.thisUpdate.getTime());
  assert.equal(list.nextUpdate, other.nextUpdate?.getTime());
  assert.equal(list.number, 0x80n);
  assert.equal(await other.verify({ publicKey: authority.certificate.publicKey }), true);
  assert.equal(listFault(authority.certificate, list), undefined);
  assert.deepEqual(parsed(new Uint8Array(other.rawData)).revoked, list.revoked);
  const later = parsed(text(await makeCrl(authority, { now: Date.UTC(2055, 0, 1), revoked: [] })));
  assert.equal(later.thisUpdate, Date.UTC(2055, 0, 1), "GeneralizedTime");
});

Deno.test("parseRevocationList() refuses what is not one authority's whole list", async () => {
  assert.equal(faultOf(await listWith([number(1)])), "none");
  assert.equal(
    faultOf(await listWith([extension("2.5.29.27", true, unsigned(Uint8Array.of(1)))])),
    "list-delta",
  );
  assert.equal(
    faultOf(await listWith([extension("2.5.29.28", true, Uint8Array.of(0x30, 0))])),
    "list-scoped",
  );
  assert.equal(
    faultOf(await listWith([extension("1.2.3.4", true, Uint8Array.of(5, 0))])),
    "list-critical-extension",
  );
  assert.equal(faultOf(await listWith([extension("1.2.3.4", false, Uint8Array.of(5, 0))])), "none");
  const issuer = extension("2.5.29.29", true, Uint8Array.of(0x30, 0));
  assert.equal(faultOf(await listWith([number(1)], [issuer])), "list-entry-extension");
  assert.equal(
    faultOf(await listWith([extension("2.5.29.20", false, Uint8Array.of(2, 1, 0x80))])),
    "list-malformed",
  );
});

Deno.test("parseRevocationList() and listFault() let no cut or changed byte through", async () => {
  const whole = await signCrl(
    authority.certificate,
    async (content) => {
      const { p256RawToLowSDer } = await import("shared/crypto/p256.ts");
      const algorithm = { name: "ECDSA", hash: "SHA-256" };
      return p256RawToLowSDer(
        new Uint8Array(await crypto.subtle.sign(algorithm, authority.keys.privateKey, content)),
      );
    },
    { now, revoked: ["0a", "0b"] },
  );
  assert.equal(listFault(authority.certificate, parsed(whole)), undefined);
  for (let i = 0; i < whole.length; i++) {
    assert.equal(faultOf(whole.subarray(0, i)), "list-malformed", `cut at ${i}`);
    const changed = whole.slice();
    changed[i]! ^= 1;
    const reading = parseRevocationList(changed);
    assert.ok(
      reading.kind === "fault" || listFault(authority.certificate, reading.list) !== undefined,
      `byte ${i} changed`,
    );
  }
  for (const junk of ["", "hello", toPem("CERTIFICATE", whole), `${toPem("X509 CRL", whole)}x`]) {
    assert.equal(faultOf(text(junk)), "list-malformed");
  }
  const namesake = await makeAuthority("lists", { now });
  assert.equal(listFault(namesake.certificate, parsed(whole)), "list-signature");
  const other = await makeAuthority("others", { now });
  assert.equal(listFault(other.certificate, parsed(whole)), "list-issuer");
});

Deno.test("replacementFault() never goes back", () => {
  const list = (thisUpdate: number, number?: bigint) => ({ thisUpdate, number });
  assert.equal(replacementFault(undefined, list(now), now), undefined);
  assert.equal(replacementFault(undefined, list(now + 3_600_000, 1n), now), "list-from-future");
  assert.equal(replacementFault(list(1, 5n), list(0, 6n), now), undefined, "the number counts");
  assert.equal(replacementFault(list(1, 5n), list(2, 4n), now), "list-older");
  assert.equal(replacementFault(list(1, 5n), list(1, 5n), now), undefined, "the same again");
  assert.equal(replacementFault(list(1, 5n), list(0, 5n), now), "list-older");
  assert.equal(replacementFault(list(1, 5n), list(2), now), "list-unnumbered");
  assert.equal(replacementFault(list(1), list(0), now), "list-older");
  assert.equal(replacementFault(list(1), list(2, 1n), now), undefined);
});

Deno.test("parseRevocationList() reads 100,000 entries", async () => {
  const revoked = Array.from({ length: 100_000 }, (_, i) => (0x100_0000_0000 + i).toString(16));
  const list = parsed(text(await makeCrl(authority, { now, revoked })));
  assert.equal(list.revoked.size, 100_000);
  assert.ok(list.revoked.has((0x100_0000_0000 + 77_777).toString(16)));
  assert.equal(listFault(authority.certificate, list), undefined);
});

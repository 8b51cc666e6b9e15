/** What reads: info, list, diagnose, keys list; channels of every key size; cards that speak something else. */

import assert from "node:assert/strict";
import { unzipSync, zipSync } from "fflate";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import { diversifyDes } from "shared/protocol/gp/des_diversification.ts";
import { diversifyKdf3 } from "shared/protocol/scp03/diversification.ts";
import { aesCmac } from "shared/crypto/aes.ts";
import { bench, CAPS, runOn, scriptedReaders } from "./harness.ts";

Deno.test("rk card info tells what the card says without keys, and moves nothing on it", async () => {
  await using b = await bench({ keyDiversificationData: "00010203040506070809" });
  const before = b.memory();
  const { code, json } = await b.run("info", "--json");
  assert.equal(code, 0);
  assert.equal(json.domain, "A000000151000000");
  assert.equal(json.globalPlatform, "2.3.1");
  assert.deepEqual(json.secureChannels, ["SCP03 i=70"]);
  assert.equal(json.keyDiversificationData, "00010203040506070809");
  assert.match(json.chip, /^cplc-[0-9A-F]{24}$/);
  assert.equal(json.authenticationFailure, null);
  assert.equal(json.cplc.hex.length, 84);
  assert.deepEqual(json.unanswered, []);
  assert.equal(b.memory(), before);
  assert.match((await b.run("info")).out, /domain {6}A000000151000000/);
});

/** Of the domain that may upgrade. */
const KEY = "7E".repeat(32);

Deno.test("rk card list shows domains, applications, packages, privileges and life cycles", async () => {
  await using b = await bench({
    lifeCycle: "SECURED",
    preloaded: {
      ssd: {},
      upgradeDomain: { keys: { version: "40", enc: KEY, mac: KEY, dek: KEY } },
      package: { version: "1.2" },
      instance: { domain: "ssd" },
    },
  });
  const { code, json } = await b.json("list");
  assert.equal(code, 0);
  assert.equal(json.complete, true);
  assert.equal(json.issuerDomain.lifeCycle, "SECURED");
  assert.deepEqual(json.domains.map((row) => row.aid), ["5353445F4C4544474552", "A000000151555047"]);
  assert.ok(json.domains[0]!.privileges.includes("TRUSTED_PATH"));
  assert.deepEqual(json.domains[1]!.privileges, ["SECURITY_DOMAIN", "AUTHORIZED_MANAGEMENT"]);
  assert.deepEqual(json.applications.map((row) => row.aid), ["A0000000624C45444745523031"]);
  assert.equal(json.applications[0]!.lifeCycle, "SELECTABLE");
  assert.equal(json.packages[0]!.aid, "A0000000624C4544474552303100");
  assert.deepEqual(json.packages[0]!.modules, ["A0000000624C45444745523031"]);
  // Seven APDUs: selection, CPLC for the guard, the handshake, three listings.
  assert.equal(json.apdus, 7);
  const words = await b.run("list", "--test-keys");
  assert.match(words.out, /SSD {2}5353445F4C4544474552/);
  for (const line of words.out.split("\n")) assert.ok(line.length <= 130, line);
});

Deno.test("rk card list without keys gives what the card gives, and says that it is not all", async () => {
  await using b = await bench();
  const { code, json } = await b.run("list", "--json");
  assert.equal(code, 0);
  assert.equal(json.complete, false);
  assert.equal(json.issuerDomain.aid, "A000000151000000");
  assert.match(json.reason, /no keys were given/);
});

Deno.test("rk card diagnose tells the state, with keys also what is behind the channel", async () => {
  await using b = await bench();
  const without = await b.run("diagnose", "--json");
  assert.equal(without.json.authenticated, false);
  const { code, json } = await b.json("diagnose");
  assert.equal(code, 0);
  assert.equal(json.lifeCycle, "OP_READY");
  assert.ok(json.findings.some((text) => /not yet SECURED/.test(text)));
});

Deno.test("rk card keys lists versions, types and lengths, and check values of the given keys", async () => {
  await using b = await bench();
  const before = b.memory();
  const { json } = await b.json("keys", "list");
  assert.deepEqual(json.keys.map((key) => key.id), [1, 2, 3]);
  assert.deepEqual(json.keys[0], { id: 1, version: 0x30, type: "AES", lengthBytes: 16 });
  assert.deepEqual(json.given, { enc: "504A77", mac: "504A77", dek: "504A77" });
  assert.equal(b.memory(), before);
});

const MASTER = "404142434445464748494A4B4C4D4E4F";
const KDD = "D9B1DE5D0362DEDCE4FB";

Deno.test("a channel opens with AES-128, AES-192 and AES-256, S8 and S16, at every level", async (t) => {
  for (const bytes of [16, 24, 32]) {
    for (const i of ["70", "71", "60", "10", "00"]) {
      await t.step(`${bytes * 8} bits, i ${i}`, async () => {
        const key = "5A".repeat(bytes);
        await using b = await bench({ i, isdKeys: { version: "01", enc: key, mac: key, dek: key } });
        const keys = b.file("keys.json", JSON.stringify({ version: "01", key }));
        const { code, err } = await b.run("list", "--keys", keys);
        assert.equal(code, 0, err);
      });
    }
  }
  await using b = await bench();
  for (const level of ["01", "03", "11", "13", "33"]) {
    await t.step(`level ${level}`, async () => {
      assert.equal((await b.json("list", "--level", level)).code, 0);
    });
  }
  assert.equal((await b.json("list", "--level", "02")).code, 2);
});

Deno.test("a master key opens the card that it was diversified for: KDF3, EMV, VISA2", async (t) => {
  const master = fromHex(MASTER);
  for (const diversification of ["kdf3", "emv", "visa2"] as const) {
    await t.step(diversification, async () => {
      const keys = diversification === "kdf3"
        ? await diversifyKdf3((input) => Promise.resolve(aesCmac(master, input)), fromHex(KDD), 16)
        : diversifyDes(diversification, new Secret(master), fromHex(KDD));
      const hex = (key: Secret) => toHex(key.reveal());
      await using b = await bench({
        keyDiversificationData: KDD,
        isdKeys: { version: "30", enc: hex(keys.enc), mac: hex(keys.mac), dek: hex(keys.dek) },
      });
      const file = b.file("master.json", JSON.stringify({ master: MASTER, diversification }));
      const { code, err } = await b.run("list", "--keys", file);
      assert.equal(code, 0, err);
    });
  }
});

Deno.test("key files that others can read, and files that are none, are refused before the card is asked", async () => {
  await using b = await bench();
  const before = b.memory();
  const key = "4041424344454647";
  const good = JSON.stringify({ key: key.repeat(2) });
  for (const mode of [0o640, 0o604, 0o660]) {
    const { code, json } = await b.run("list", "--json", "--keys", b.file("open.json", good, mode));
    assert.deepEqual([code, json.error.code], [3, "SECRET_FILE_OPEN"]);
  }
  for (const text of ["{", "[]", JSON.stringify({ key }), JSON.stringify({ key: key.repeat(2), more: 1 })]) {
    const { code, json, err } = await b.run("list", "--json", "--keys", b.file("bad.json", text));
    assert.deepEqual([code, json.error.code], [3, "CARDTOOL_KEY_FILE"]);
    assert.ok(!err.includes(key));
  }
  const mixed = JSON.stringify({ enc: key.repeat(2), mac: key.repeat(2), dek: key.repeat(3) });
  assert.equal((await b.run("list", "--json", "--keys", b.file("mixed.json", mixed))).code, 3);
  assert.equal((await b.run("delete", "A000000151", "--json")).json.error.code, "CARDTOOL_NO_KEYS");
  assert.equal(b.memory(), before);
});

/** A card with SCP02: card data as such cards give it, nothing without authentication. */
function scp02Card(seen: string[]) {
  const cardData = fromHex(
    "664C734A06072A864886FC6B01600C060A2A864886FC6B02020101630906072A864886FC6B03640B06092A864886FC6B040215" +
      "650B06092B8510864864020103660C060A2B060104012A026E0102",
  );
  return (command: Uint8Array): Uint8Array => {
    const hex = toHex(command);
    seen.push(hex);
    if (hex.startsWith("00A40400")) {
      return fromHex("6F108408A000000003000000A5049F6501FF9000");
    }
    if (hex.startsWith("80CA0066")) return concat(cardData, Uint8Array.of(0x90, 0x00));
    if (hex.startsWith("80CA00E0")) return fromHex("E012C00401FF8010C00402FF8010C00403FF80109000");
    if (hex.startsWith("80CA")) return Uint8Array.of(0x6a, 0x88);
    return Uint8Array.of(0x69, 0x82);
  };
}

Deno.test("a card with SCP02 is named as such: no key is tried, info and list still tell what is readable", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const seen: string[] = [];
    const readers = scriptedReaders(scp02Card(seen));
    const info = await runOn(readers, folder, ["info", "--json"]);
    assert.deepEqual([info.code, info.json.secureChannels], [0, ["SCP02 i=15"]]);
    assert.match(info.json.chip, /^atr-/);
    const list = await runOn(readers, folder, ["list", "--json", "--test-keys"]);
    assert.deepEqual([list.code, list.json.complete], [0, false]);
    assert.match(list.json.reason, /SCP02/);
    const diagnosis = await runOn(readers, folder, ["diagnose", "--json"]);
    assert.ok(diagnosis.json.findings.some((text) => /SCP02/.test(text)));
    assert.ok(diagnosis.json.findings.some((text) => /never replaced/.test(text)));
    const load = await runOn(readers, folder, ["delete", "A000000151AA", "--json", "--test-keys"]);
    assert.deepEqual([load.code, load.json.error.code], [5, "CARDTOOL_SCP"]);
    assert.ok(seen.every((command) => !/^8[04](50|82)/.test(command)), "no handshake was begun");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("CAP files of others, broken archives and wrong versions are refused with a reason before the card is asked", async (t) => {
  await using b = await bench();
  const before = b.memory();
  const cap = Deno.readFileSync(`${CAPS}coims_applet.cap`);
  const half = b.file("half.cap", cap.subarray(0, cap.length >> 1));
  const text = b.file("text.cap", "not a zip");
  const flipped = cap.slice();
  flipped[cap.length >> 1]! ^= 0xff;
  const broken = b.file("flipped.cap", flipped);
  for (const [name, path] of Object.entries({ half, text, broken })) {
    await t.step(name, async () => {
      const { code, json } = await b.json("load", path);
      assert.equal(code, 3);
      assert.match(json.error.code, /^CAP_/);
    });
  }
  await t.step("a format of another Java Card", async () => {
    const files = unzipSync(cap);
    for (const [name, content] of Object.entries(files)) {
      // Major version of the format, after tag, size, magic and minor version.
      if (name.endsWith("Header.cap")) content[8] = 3;
    }
    const { code, json } = await b.json("load", b.file("version3.cap", zipSync(files)));
    assert.deepEqual([code, json.error.code], [3, "CAP_FORMAT"]);
  });
  await t.step("no file", async () => {
    assert.equal((await b.json("load", "/nowhere.cap")).json.error.code, "CARDTOOL_FILE");
  });
  await t.step("a library has no module to install", async () => {
    assert.equal((await b.json("install", `${CAPS}keycard_math.cap`)).json.error.code, "CARDTOOL_CAP_CHOICE");
  });
  assert.equal(b.memory(), before);
});

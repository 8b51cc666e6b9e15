/** The spine on pcscd with vpcd, SoftHSM2 and PostgreSQL, judged by programs that are not ours. */

import assert from "node:assert/strict";
import { DENO, HOME, REPOSITORY } from "cli/home.ts";
import { runDemo } from "cli/demo/demo.ts";
import { ISSUER_LABEL } from "cli/spine/backends.ts";
import { RECORD_LABEL } from "factory/domain/factory_keys.ts";
import { fromHex } from "shared/base/bytes.ts";
import { p256RawToLowSDer } from "shared/crypto/p256.ts";

async function output(command: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env }).output();
  const decoder = new TextDecoder();
  assert.ok(success, `${command}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout).trim();
}

/** Runs `rk` and returns its exit code with the JSON of its last line. */
async function rk(...args: string[]): Promise<{ code: number; last: Record<string, unknown> }> {
  const env = { RK_HOME: HOME, RK_DENO: DENO };
  const { code, stdout } = await new Deno.Command(`${REPOSITORY}/rk`, { args: [...args, "--json"], env })
    .output();
  return { code, last: JSON.parse(new TextDecoder().decode(stdout).trimEnd().split("\n").at(-1) ?? "") };
}

/** Signed bytes and DER signature of a compact JWS. */
function splitJws(jws: string): { signed: Uint8Array; signature: Uint8Array } {
  const dot = jws.lastIndexOf(".");
  const raw = Uint8Array.fromBase64(jws.slice(dot + 1), { alphabet: "base64url" });
  return { signed: new TextEncoder().encode(jws.slice(0, dot)), signature: p256RawToLowSDer(raw) };
}

/** Where the certificate's signature begins: tag 15 is its last TLV (card.md 5.1). */
function splitCertificate(certificate: Uint8Array): { body: Uint8Array; signature: Uint8Array } {
  let offset = 0;
  while (certificate[offset] !== 0x15) offset += 2 + certificate[offset + 1]!;
  return { body: certificate.slice(0, offset), signature: certificate.slice(offset + 2) };
}

Deno.test("the real spine: openssl verifies every certificate with the key that pkcs11-tool reads; psql counts the rows", async (t) => {
  await Deno.mkdir(HOME, { recursive: true });
  const folder = await Deno.makeTempDir({ dir: HOME, prefix: "real-" });
  const lines: string[] = [];
  try {
    const result = await runDemo({
      folder,
      cards: 6,
      readers: 3,
      real: true,
      keep: false,
      tell: (line) => lines.push(line),
      onEvent: () => {},
      onLineEnd: () => {},
      onUpdate: () => {},
      onRecover: (line) => lines.push(line),
      inspect: async (spine) => {
        const { configuration, env } = spine.token;
        assert.ok(configuration.kind === "pkcs11");
        const psql = (query: string) => output("psql", ["-At", "-c", query], { ...spine.psqlEnv });
        await t.step("the token's key is the issuer, and cannot be taken out", async () => {
          const key = `${folder}/issuer.der`;
          await output("pkcs11-tool", [
            ...["--module", configuration.library, "--token-label", configuration.tokenLabel],
            ...["--read-object", "--type", "pubkey", "--label", ISSUER_LABEL, "--output-file", key],
          ], env);
          await output("openssl", [
            "pkey",
            "-pubin",
            "-inform",
            "DER",
            "-in",
            key,
            "-out",
            `${folder}/issuer.pem`,
          ]);
        });
        await t.step("each provider has a token and a database of its own, and no row any more", async () => {
          const { providers } = await spine.startRecover();
          const keys = await Promise.all(providers.map(async ({ index, publicKey, database }) => {
            const own = `${folder}/recover/provider-${index}/hsm`;
            const key = `${own}/public.der`;
            await output("pkcs11-tool", [
              ...["--module", configuration.library, "--token-label", `provider-${index}`],
              ...["--read-object", "--type", "pubkey", "--label", "recover-identity", "--output-file", key],
            ], { SOFTHSM2_CONF: `${own}/softhsm2.conf` });
            assert.equal((await Deno.readFile(key)).slice(-65).toHex().toUpperCase(), publicKey);
            const rows = await output("psql", ["-At", "-c", "select count(*) from backups"], {
              ...database.postgres!.psqlEnv,
            });
            assert.equal(rows, "0");
            return publicKey;
          }));
          assert.equal(new Set(keys).size, 3);
        });
        await t.step("every certificate verifies", async () => {
          const certificates = (await psql("select certificate from certificates where revoked_at is null"))
            .split("\n");
          assert.equal(certificates.length, 6);
          for (const certificate of certificates) {
            const { body, signature } = splitCertificate(fromHex(certificate));
            await Deno.writeFile(`${folder}/body`, body);
            await Deno.writeFile(`${folder}/signature`, signature);
            const verify = [
              "dgst",
              "-sha256",
              "-verify",
              `${folder}/issuer.pem`,
              "-signature",
              `${folder}/signature`,
            ];
            assert.equal(await output("openssl", [...verify, `${folder}/body`]), "Verified OK");
            // One bit less, and openssl refuses it: the check can fail.
            body[4]! ^= 1;
            await Deno.writeFile(`${folder}/body`, body);
            const forged = await new Deno.Command("openssl", { args: [...verify, `${folder}/body`] })
              .output();
            assert.equal(forged.success, false);
          }
        });
        await t.step("the rows balance", async () => {
          assert.equal(await psql("select state, count(*) from reservations group by state"), "good|6");
          assert.equal(await psql("select count(distinct serial) from reservations"), "6");
          assert.equal(await psql("select outcome, count(*) from closures group by outcome"), "good|6");
        });
        await t.step(
          "the batch closes; its export agrees with psql, and openssl verifies each record",
          async () => {
            const as = ["--as", spine.descriptor.batchManagerFile];
            const batch = await psql("select name from batches");
            const out = `${folder}/batch.jsonl`;
            const journals = ["--journal", `${folder}/station/journal.sqlite`, "--all-journals"];
            const compared = await rk("batch", "reconcile", batch, ...journals, ...as);
            assert.deepEqual([compared.code, compared.last["differences"]], [0, []]);
            assert.equal((await rk("batch", "close", batch, ...as)).code, 0);
            const report = await rk("batch", "report", batch, ...as);
            const counts = report.last["counts"] as Record<string, number>;
            assert.deepEqual([report.last["state"], counts["good"], counts["reserved"]], ["closed", 6, 6]);
            assert.equal((await rk("batch", "export", batch, "--out", out, ...as)).code, 0);
            assert.equal((await rk("batch", "export", batch, "--out", `${folder}/batch.csv`, ...as)).code, 0);
            assert.equal((await rk("batch", "key", "--out", `${folder}/record.pem`, ...as)).code, 0);
            const verify = (file: string, ...more: string[]) =>
              rk("batch", "verify", file, "--key", `${folder}/record.pem`, ...more);
            const serial = await psql("select upper(lpad(to_hex(max(serial)), 8, '0')) from reservations");
            const proof = `${folder}/proof.json`;
            const verified = await verify(out, "--serial", serial, "--proof-out", proof);
            assert.equal(verified.code, 0);
            assert.deepEqual(verified.last["totals"], { reserved: 6, good: 6, scrapped: 0, missing: 0 });
            assert.equal((await verify(`${folder}/batch.csv`)).code, 0);
            assert.equal((await verify(proof)).code, 0);
            const text = await Deno.readTextFile(out);
            await Deno.writeTextFile(out, text.split("\n").toSpliced(2, 1).join("\n"));
            const cut = await verify(out);
            const findings = cut.last["findings"] as { code: string }[];
            assert.equal(cut.code, 4);
            assert.ok(findings.some(({ code }) => code === "BATCH_RECORD_MISSING"));

            await output("pkcs11-tool", [
              ...["--module", configuration.library, "--token-label", configuration.tokenLabel],
              ...[
                "--read-object",
                "--type",
                "pubkey",
                "--label",
                RECORD_LABEL,
                "--output-file",
                `${folder}/record.der`,
              ],
            ], env);
            const key = ["-pubin", "-outform", "DER"];
            await output("openssl", [
              "pkey",
              ...key,
              "-in",
              `${folder}/record.pem`,
              "-out",
              `${folder}/given.der`,
            ]);
            const ofToken = ["pkey", ...key, "-inform", "DER", "-in", `${folder}/record.der`];
            await output("openssl", [...ofToken, "-out", `${folder}/token.der`]);
            assert.deepEqual(
              await Deno.readFile(`${folder}/given.der`),
              await Deno.readFile(`${folder}/token.der`),
            );
            for (const line of text.trimEnd().split("\n")) {
              const jws = Object.values(JSON.parse(line))[0] as string;
              const { signed, signature } = splitJws(jws);
              await Deno.writeFile(`${folder}/body`, signed);
              await Deno.writeFile(`${folder}/signature`, signature);
              const check = [
                "-sha256",
                "-verify",
                `${folder}/record.pem`,
                "-signature",
                `${folder}/signature`,
              ];
              assert.equal(await output("openssl", ["dgst", ...check, `${folder}/body`]), "Verified OK");
            }
          },
        );
      },
    });
    assert.equal(
      result.attested,
      6,
      JSON.stringify(result.cards.filter(({ wallet }) => wallet !== "genuine")),
    );
    assert.equal(result.failed, 0);
    assert.ok(result.gatewayFailovers >= 1, "the stopped gateway was noticed");
    assert.deepEqual(result.cards.map((card) => card.wallet), Array(6).fill("genuine"));
    assert.deepEqual(
      result.recover,
      { backup: true, restore: true, refused: true, delete: true },
      lines.join("\n"),
    );
    assert.deepEqual({ to: result.update.to, seedKept: result.update.seedKept }, {
      to: "1.1.0",
      seedKept: true,
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

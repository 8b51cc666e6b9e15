/** The spine on pcscd with vpcd, SoftHSM2 and PostgreSQL, judged by programs that are not ours. */

import assert from "node:assert/strict";
import { HOME } from "cli/home.ts";
import { runDemo } from "cli/demo/demo.ts";
import { ISSUER_LABEL } from "cli/spine/backends.ts";
import { fromHex } from "shared/base/bytes.ts";

async function output(command: string, args: string[], env: Record<string, string> = {}): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(command, { args, env }).output();
  const decoder = new TextDecoder();
  assert.ok(success, `${command}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout).trim();
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
      },
    });
    assert.equal(result.attested, 6);
    assert.equal(result.failed, 0);
    assert.ok(result.gatewayFailovers >= 1, "the stopped gateway was noticed");
    assert.deepEqual(result.cards.map((card) => card.wallet), Array(6).fill("genuine"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

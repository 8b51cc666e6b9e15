/** `rk batch key` and `rk batch verify`: what somebody without an account needs to check a batch's records. */

import type { Command } from "commander";
import { exportSPKI, importJWK } from "jose";
import { createHash } from "node:crypto";
import { toHex } from "shared/base/bytes.ts";
import { manifestPath, recordKeyOf } from "../batch/export.ts";
import { action, type CommonOptions, result, say } from "../output.ts";
import { absolute, absoluteIfGiven, exists } from "../paths.ts";
import { runForeground } from "../process/foreground.ts";
import { asBatchManager } from "../spine/batch.ts";

/** Standard paths in the permission sets of `rk batch verify`. */
const IN = ".rk/batch/in";
const OUT = ".rk/batch/out";

interface VerifyOptions extends CommonOptions {
  key: string;
  manifest?: string;
  serial?: string;
  proofOut?: string;
}

/** Registers `rk batch key`. */
export function registerKey(batch: Command): void {
  batch.command("key")
    .description("write the public key that records are signed with")
    .requiredOption("--out <file>", "file to write: JWK, or PEM with .pem")
    .option("--as <file>", "configuration of a factory's batch manager; the local spine's otherwise")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CommonOptions & { as?: string; out: string }) => {
      const key = await asBatchManager(absoluteIfGiven(options.as), recordKeyOf);
      const out = absolute(options.out);
      const point = Uint8Array.of(
        4,
        ...[key.jwk.x, key.jwk.y].flatMap((
          part,
        ) => [...Uint8Array.fromBase64(part, { alphabet: "base64url" })]),
      );
      const publicKeySha256 = toHex(createHash("sha256").update(point).digest());
      const text = out.endsWith(".pem")
        ? await exportSPKI(await importJWK(key.jwk, "ES256", { extractable: true }) as CryptoKey)
        : JSON.stringify({ ...key.jwk, use: "sig", alg: "ES256", kid: key.thumbprint });
      await Deno.writeTextFile(out, text.trimEnd() + "\n");
      say(
        options,
        `Record key written to ${out}\n  thumbprint (RFC 7638)  ${key.thumbprint}\n  SHA-256 of the point   ${publicKeySha256}\n` +
          "Compare the second line with `rk hsm keys` at the token before you hand the key out.",
      );
      result(options, { out, thumbprint: key.thumbprint, publicKeySha256 });
    }));
}

/** Registers `rk batch verify`. */
export function registerVerify(batch: Command): void {
  batch.command("verify")
    .description("check an export or the proof of one card with the public key alone: no service, no network")
    .argument("<file>", "export as JSON lines or CSV, or a proof")
    .requiredOption("--key <file>", "the factory's record key, JWK or PEM (`rk batch key`)")
    .option("--manifest <file>", "manifest of a CSV export; NAME.manifest.jws beside it otherwise")
    .option("--serial <hex>", "prove this card: its record, and that it was in the batch")
    .option("--proof-out <file>", "write that proof to a file, which verifies by itself")
    .option("--json", "the last line is one JSON object")
    .action(action(async (file: string, options: VerifyOptions) => {
      const export_ = absolute(file);
      const key = absolute(options.key);
      const beside = manifestPath(export_);
      const manifest = absoluteIfGiven(options.manifest) ?? (await exists(beside) ? beside : undefined);
      const proofOut = absoluteIfGiven(options.proofOut);
      return await runForeground({
        name: "batch-verifier",
        module: "factory/app/batch_verify_main.ts",
        permissions: proofOut === undefined ? "batch-verifier" : "batch-prover",
        substitution: {
          [IN]: [export_, key, ...(manifest === undefined ? [] : [manifest])],
          ...(proofOut === undefined ? {} : { [OUT]: proofOut }),
        },
        args: [
          export_,
          "--key",
          key,
          ...(manifest === undefined ? [] : ["--manifest", manifest]),
          ...(options.serial === undefined ? [] : ["--serial", options.serial]),
          ...(proofOut === undefined ? [] : ["--proof-out", proofOut]),
          ...(options.json ? ["--json"] : []),
        ],
      });
    }));
}

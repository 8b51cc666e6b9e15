/** `rk package sign | verify | info | sample`: card software before it is loaded. */

import type { Command } from "commander";
import { RELEASE_LABEL } from "factory/domain/factory_keys.ts";
import { packagePaths } from "shared/protocol/signed_package/names.ts";
import { CodedError } from "shared/base/errors.ts";
import "shared/protocol/signed_package/errors.ts";
import { action, type CommonOptions } from "../output.ts";
import { absolute, exists } from "../paths.ts";
import { runForeground } from "../process/foreground.ts";
import { STANDARD_FOLDER } from "../spine/layout.ts";
import { type TokenCommandOptions, tokenOf, tokenSpec, withTokenOptions } from "./token.ts";

/** Domain that verifies packages on a Recovery Key: the issuer domain. */
const DEFAULT_DOMAIN = "A000000151000000";
const MODULE = "factory/app/package_main.ts";
const IN = `${STANDARD_FOLDER}/packages/in`;
const OUT = `${STANDARD_FOLDER}/packages/out`;

interface SignOptions extends CommonOptions, TokenCommandOptions {
  out: string;
  domain: string;
  keyLabel: string;
}

interface SampleOptions extends CommonOptions {
  out: string;
  bytes?: string;
}

interface VerifyOptions extends CommonOptions {
  key?: string;
  cap?: string;
}

/** Registers the commands. */
export function registerPackage(program: Command): void {
  const command = program.command("package").description("card software: what it is, and who signed it");
  withTokenOptions(
    command.command("sign")
      .description("sign a CAP file with the release key in the HSM; stations load signed packages only")
      .argument("<cap>", "CAP file")
      .requiredOption("--out <file>", "file to write: NAME.signed.json beside NAME.cap")
      .option("--domain <aid>", "security domain that verifies the signature on the card", DEFAULT_DOMAIN)
      .option("--key-label <label>", "label of the release key", RELEASE_LABEL),
  )
    .option("--json", "the last line is one JSON object")
    .addHelpText("after", "\nWithout a token the local spine's is used (development only).")
    .action(action(async (file: string, options: SignOptions) => {
      const config = await tokenOf(options);
      const { args, substitution, env } = tokenSpec(config);
      const cap = absolute(file);
      const out = absolute(options.out);
      return await runForeground({
        name: "package-signer",
        module: MODULE,
        permissions: config.kind === "pkcs11" ? "package-signer-pkcs11" : "package-signer",
        substitution: { ...substitution, [IN]: cap, [OUT]: [out, `${out}.new`] },
        args: [
          "sign",
          cap,
          "--out",
          out,
          "--domain",
          options.domain,
          "--key-label",
          options.keyLabel,
          ...args,
          ...json(options),
        ],
        ...(env ? { env } : {}),
      });
    }));
  command.command("verify")
    .description("compare a package with its signatures, as a station does before it loads it")
    .argument("<file>", "NAME.signed.json, or NAME.cap beside it")
    .option("--key <pub>", "release key that must have signed: hex (65 bytes), or a file that holds it")
    .option("--cap <file>", "the CAP file, when it is not beside the signatures")
    .option("--json", "the last line is one JSON object")
    .action(action(async (file: string, options: VerifyOptions) => {
      const paths = packagePaths(absolute(file));
      const cap = options.cap ? absolute(options.cap) : paths.cap;
      const key = options.key === undefined ? [] : ["--key", await keyText(options.key)];
      return await runForeground({
        name: "package",
        module: MODULE,
        permissions: "package-reader",
        substitution: { [IN]: [cap, paths.signed] },
        args: ["verify", "--cap", cap, "--signed", paths.signed, ...key, ...json(options)],
      });
    }));
  command.command("info")
    .description("what a CAP file is: AID, name, version, applets, imports, sizes, hashes")
    .argument("<cap>", "CAP file")
    .option("--json", "the last line is one JSON object")
    .action(action(async (file: string, options: CommonOptions) => {
      const cap = absolute(file);
      return await runForeground({
        name: "package",
        module: MODULE,
        permissions: "package-reader",
        substitution: { [IN]: cap },
        args: ["info", cap, ...json(options)],
      });
    }));
  command.command("sample")
    .description("write a CAP file of the Recovery Key at a version, for virtual cards: no chip can run it")
    .argument("<version>", "MAJOR.MINOR; applet 1.1 claims the hash of its package, 1.0 does not")
    .requiredOption("--out <file>", "file to write")
    .option("--bytes <number>", "length of the filler in bytes, at most 65534; default 4000")
    .option("--json", "the last line is one JSON object")
    .action(action(async (version: string, options: SampleOptions) => {
      const out = absolute(options.out);
      return await runForeground({
        name: "package",
        module: MODULE,
        permissions: "package-writer",
        substitution: { [OUT]: [out, `${out}.new`] },
        args: [
          "sample",
          version,
          "--out",
          out,
          ...(options.bytes === undefined ? [] : ["--bytes", options.bytes]),
          ...json(options),
        ],
      });
    }));
}

function json(options: CommonOptions): string[] {
  return options.json ? ["--json"] : [];
}

/** A public key as it was given, or of the file that was. */
async function keyText(given: string): Promise<string> {
  if (/^[0-9A-Fa-f]{130}$/.test(given)) return given;
  const path = absolute(given);
  if (!await exists(path)) {
    throw new CodedError("PACKAGE_KEY", "Cannot use --key: it is neither 65 bytes of hex nor a file");
  }
  return (await Deno.readTextFile(path)).trim();
}

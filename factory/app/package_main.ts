/**
 * The process of `rk package`.
 *
 *     package_main.ts sign CAP --out FILE --domain AID --key-label LABEL TOKEN [--json]
 *     package_main.ts verify --cap CAP --signed FILE [--key HEX] [--json]
 *     package_main.ts info CAP [--json]
 *     package_main.ts sample MAJOR.MINOR --out FILE [--bytes N] [--json]
 *
 * TOKEN: `--library FILE --token-label LABEL --pin-file FILE`, or `--file FILE --passphrase-file FILE`.
 */

import { parseArgs } from "node:util";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError, defineErrors, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger } from "shared/base/log.ts";
import { isP256PublicKey } from "shared/crypto/p256.ts";
import { describeCap } from "shared/protocol/cap/description.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { encodeSignedPackage } from "shared/protocol/signed_package/document.ts";
import { verifySignedPackage } from "shared/protocol/signed_package/verify.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { signPackage } from "../service/package/sign.ts";
import { type CommandOutput, runCommand } from "./command_process.ts";
import { readCapBytes, readCapFile, readSignedPackageFile } from "./package_files.ts";
import { packageLines } from "./package_report.ts";
import { openToken, tokenFromOptions } from "./token_config.ts";

const OPTIONS = {
  out: { type: "string" },
  bytes: { type: "string" },
  domain: { type: "string" },
  "key-label": { type: "string" },
  cap: { type: "string" },
  signed: { type: "string" },
  key: { type: "string" },
  library: { type: "string" },
  "token-label": { type: "string" },
  "pin-file": { type: "string" },
  file: { type: "string" },
  "passphrase-file": { type: "string" },
  json: { type: "boolean" },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

/** Signs a package and writes its `.signed.json`. */
async function sign(capPath: string, values: Values, output: CommandOutput): Promise<number> {
  const out = required(values.out, "out");
  const domain = fromHex(required(values.domain, "domain"));
  const token = tokenFromOptions({
    library: values.library,
    tokenLabel: values["token-label"],
    pinFile: values["pin-file"],
    file: values.file,
    passphraseFile: values["passphrase-file"],
  }, Deno.cwd());
  if (token === undefined) throw usage("no token is given");
  // Read first: a bad file does not cost the token a login.
  const cap = await readCapBytes(capPath);
  const hsm = await openToken(token, createLogger("package-signer"));
  try {
    const signed = await signPackage({
      hsm,
      keyLabel: required(values["key-label"], "key-label"),
      cap,
      securityDomainAid: domain,
      clock: SYSTEM_CLOCK,
    });
    await Deno.writeTextFile(`${out}.new`, encodeSignedPackage(signed));
    await Deno.rename(`${out}.new`, out);
    const { signatures, ...statement } = signed;
    const { keyLabel, publicKey } = signatures[0]!;
    output.say(
      `Signed ${statement.packageName ?? statement.packageAid} ${statement.version} with key ${keyLabel}\n` +
        `  loaded SHA-256  ${statement.loadFileDataBlockHash}\n` +
        `  file SHA-256    ${statement.capSha256}\n` +
        `  release key     ${publicKey}\n` +
        `  written to      ${out}`,
    );
    output.result({ ...statement, keyLabel, publicKey, out });
    return EXIT_CODES.ok;
  } finally {
    await hsm.close();
  }
}

/** Verifies both files of a package. */
async function verify(values: Values, output: CommandOutput): Promise<number> {
  const signed = await readSignedPackageFile(required(values.signed, "signed"));
  const cap = await readCapFile(required(values.cap, "cap"));
  const given = values.key === undefined ? undefined : publicKey(values.key);
  const verified = verifySignedPackage(signed, cap, given ?? fromHex(signed.signatures[0]!.publicKey));
  for (const line of packageLines(verified.description)) output.say(line);
  output.say(`signed      by ${verified.keyLabel}, ${verified.signedAt}, key ${toHex(verified.releaseKey)}`);
  output.say(
    given === undefined
      ? "VERDICT     unchanged since that key signed it. WHOSE key that is was not compared: give --key"
      : "VERDICT     signed by the given key, unchanged",
  );
  output.result({
    verified: true,
    /** Whether the key was compared with one from elsewhere. */
    keyCompared: given !== undefined,
    keyLabel: verified.keyLabel,
    publicKey: toHex(verified.releaseKey),
    signedAt: verified.signedAt,
    securityDomainAid: signed.securityDomainAid,
    ...verified.description,
  });
  return EXIT_CODES.ok;
}

/** Describes a CAP file. */
async function info(path: string, output: CommandOutput): Promise<number> {
  const description = describeCap(await readCapFile(path));
  for (const line of packageLines(description)) output.say(line);
  output.result(description);
  return EXIT_CODES.ok;
}

/** Default filler of a sample in bytes: the size of a small applet. */
const SAMPLE_BYTES = 4000;

/**
 * Writes a CAP file in the place of the applet's, at a version: AIDs and components of the Recovery Key, filler for code.
 * Virtual cards load and upgrade it; the same arguments give the same bytes.
 */
async function sample(version: string, values: Values, output: CommandOutput): Promise<number> {
  const [, major, minor] = /^(\d{1,3})\.(\d{1,3})$/.exec(version) ?? [];
  if (major === undefined || minor === undefined) throw usage("the version is not MAJOR.MINOR");
  if (values.bytes !== undefined && !/^\d{1,5}$/.test(values.bytes)) throw usage("--bytes is no number");
  const payloadBytes = values.bytes === undefined ? SAMPLE_BYTES : Number(values.bytes);
  const cap = writeTestCap({ version: { major: Number(major), minor: Number(minor) }, payloadBytes });
  const out = required(values.out, "out");
  await Deno.writeFile(`${out}.new`, cap);
  await Deno.rename(`${out}.new`, out);
  const description = describeCap(readCap(cap));
  for (const line of packageLines(description)) output.say(line);
  output.say(`written to  ${out}`);
  output.result({ ...description, out });
  return EXIT_CODES.ok;
}

function publicKey(text: string): Uint8Array {
  const key = fromHex(text);
  if (!isP256PublicKey(key)) throw usage("--key is not a point of P-256, 65 bytes of hex");
  return key;
}

function required(value: string | undefined, name: string): string {
  if (value === undefined) throw usage(`--${name} is missing`);
  return value;
}

function usage(message: string): CodedError {
  return new CodedError("PACKAGE_USAGE", `Cannot run: ${message}`);
}

/** Runs a command line and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  return await runCommand("package", args.includes("--json"), async (output) => {
    let parsed;
    try {
      parsed = parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
    } catch (error) {
      throw usage((error as Error).message);
    }
    const { values, positionals: [verb, file] } = parsed;
    if (verb === "sign" && file) return await sign(file, values, output);
    if (verb === "verify" && !file) return await verify(values, output);
    if (verb === "info" && file) return await info(file, output);
    if (verb === "sample" && file) return await sample(file, values, output);
    throw usage("give sign CAP, verify, info CAP or sample VERSION");
  });
}

defineErrors({
  PACKAGE_USAGE: {
    fault: "usage",
    retry: false,
    next: "`rk help package` tells the commands, `rk help package sign` what one of them takes.",
  },
});

// Native libraries keep threads that would hold the process open.
if (import.meta.main) Deno.exit(await main(Deno.args));

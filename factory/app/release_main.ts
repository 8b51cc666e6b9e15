/**
 * The process of `rk release`: one step of a release.
 *
 *     release_main.ts key LABEL TOKEN [--make [--curve ed25519|p256]] [--out FILE]
 *     release_main.ts init --folder DIR --product P --holder FILE... --threshold N --online FILE --halt-key FILE --log-key FILE --origin O
 *     release_main.ts add CAP --signed FILE --folder DIR --product P --version V --replaces V... --counter N [--chip C/OS]... ...
 *     release_main.ts sign --folder DIR --key LABEL [--role ROLE] TOKEN
 *     release_main.ts publish --folder DIR --online-key LABEL --log-key LABEL [--fresh-only] TOKEN
 *     release_main.ts rotate --folder DIR [--holder FILE... --threshold N] [--online FILE]
 *     release_main.ts halt PRODUCT VERSION --folder DIR --reason TEXT --halt-key LABEL --online-key LABEL TOKEN
 *     release_main.ts resume PRODUCT VERSION --folder DIR
 *     release_main.ts show --folder DIR
 *     release_main.ts verify --repository DIR|URL --root FILE [--ca FILE] [--client-cert FILE --client-key FILE]
 *
 * TOKEN: `--library FILE --token-label LABEL --pin-file FILE`, or `--file FILE --passphrase-file FILE`. All: [--json].
 */

import { createHash } from "node:crypto";
import { CodedError, EXIT_CODES } from "shared/base/errors.ts";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { createLogger } from "shared/base/log.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { releasePath } from "shared/protocol/release/target.ts";
import { encodePackageFile } from "shared/protocol/signed_package/package_file.ts";
import { verifySignedPackage } from "shared/protocol/signed_package/verify.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import { httpsSource } from "shared/transport/log_source/https.ts";
import { keyIdOf, type TargetJson } from "../domain/release/documents.ts";
import {
  addRelease,
  freshenRelease,
  haltRelease,
  initRelease,
  publishedTargetsIn,
  publishRelease,
  resumeRelease,
  rotateKeys,
  settingsOf,
  signPending,
  targetsIn,
} from "../service/release/ceremony.ts";
import { keyJsonOf } from "../service/release/keys.ts";
import { ReleaseFolder } from "../service/release/repository.ts";
import { verifyRepository } from "../service/release/verify.ts";
import { type CommandOutput, runCommand } from "./command_process.ts";
import { readCapBytes, readSignedPackageFile } from "./package_files.ts";
import {
  chipOf,
  logTrust,
  parseReleaseOptions,
  readKeyFile,
  type ReleaseValues,
  required,
  wholeNumber,
} from "./release_options.ts";
import { openToken, tokenFromOptions } from "./token_config.ts";

interface Step {
  readonly values: ReleaseValues;
  readonly positionals: readonly string[];
  readonly output: CommandOutput;
  readonly now: number;
}

/** Every verb. */
const STEPS: Readonly<Record<string, (step: Step) => Promise<void>>> = {
  key: async ({ values, positionals: [label], output }) =>
    await withToken(values, async (hsm) => {
      if (label === undefined) throw new CodedError("RELEASE_USAGE", "Cannot run: give the key's label");
      if (values.make && !(await hsm.keys()).some((key) => key.label === label)) {
        await hsm.generateSigningKey(label, values.curve === "p256" ? "p256" : "ed25519");
      }
      const key = await keyJsonOf(hsm, label);
      if (values.out !== undefined) await Deno.writeTextFile(values.out, JSON.stringify(key) + "\n");
      output.say(`${label}: ${key.scheme}, identifier ${keyIdOf(key)}`);
      output.result({ label, id: keyIdOf(key), key });
    }),

  init: async ({ values, output, now }) => {
    const folder = folderOf(values);
    const holders = await Promise.all((values.holder ?? []).map(readKeyFile));
    const settings = {
      holders: { keys: holders, threshold: wholeNumber(values.threshold ?? "3", "threshold") },
      online: await readKeyFile(required(values, "online")),
      haltKey: await readKeyFile(required(values, "halt-key")),
      products: values.product ?? [],
      transparency: logTrust(await readKeyFile(required(values, "log-key")), required(values, "origin")),
    };
    if (settings.haltKey.scheme !== "ed25519") {
      throw new CodedError("RELEASE_USAGE", "Cannot use the halt key: halts are signed with Ed25519");
    }
    initRelease(folder, settings, now);
    output.say(
      `Made a repository in ${folder.path}: ${settings.holders.threshold} of ${holders.length} holders sign next`,
    );
    show(folder, output);
  },

  add: async ({ values, positionals: [capPath], output, now }) => {
    if (capPath === undefined) throw new CodedError("RELEASE_USAGE", "Cannot run: give the CAP file");
    const folder = folderOf(values);
    const [product] = values.product ?? [];
    if (product === undefined) throw new CodedError("RELEASE_USAGE", "Cannot run: --product is missing");
    const capBytes = await readCapBytes(capPath);
    const cap = readCap(capBytes);
    const signed = await readSignedPackageFile(required(values, "signed"));
    const { description } = verifySignedPackage(signed, cap, fromHex(signed.signatures[0]!.publicKey));
    const version = values.version ?? description.version;
    const file = encodePackageFile(capBytes, signed);
    const path = addRelease(
      folder,
      {
        product,
        version,
        packageAid: description.packageAid,
        loadFileHash: description.loadFileDataBlockHash,
        replaces: values.replaces ?? [],
        securityCounter: wholeNumber(required(values, "counter"), "counter"),
        chips: (values.chip ?? []).map(chipOf),
        source: {
          url: required(values, "source-url"),
          ...(values["source-commit"] === undefined ? {} : { commit: values["source-commit"] }),
          hash: required(values, "source-hash").toUpperCase(),
        },
        build: { hash: (values["build-hash"] ?? description.capSha256).toUpperCase() },
        notes: values.notes ?? "",
      },
      file,
      toHex(createHash("sha256").update(file).digest()),
      now,
    );
    output.say(`Added ${path}: it is pending until enough holders have signed`);
    show(folder, output);
  },

  sign: async ({ values, output }) =>
    await withToken(values, async (hsm) => {
      const folder = folderOf(values);
      const label = required(values, "key");
      const signed = await signPending(folder, hsm, label, values.role);
      output.say(`Signed ${signed.join(", ")} with ${label}`);
      show(folder, output);
    }),

  publish: async ({ values, output, now }) =>
    await withToken(values, async (hsm) => {
      const folder = folderOf(values);
      if (values["fresh-only"]) {
        await freshenRelease(folder, hsm, required(values, "online-key"), now);
        output.say("Signed snapshot and timestamp anew");
        return show(folder, output);
      }
      const labels = { online: required(values, "online-key"), log: required(values, "log-key") };
      const published = await publishRelease(folder, hsm, labels, now);
      output.say(
        published.length === 0 ? "Nothing was pending: signed anew" : `Published ${published.join(", ")}`,
      );
      show(folder, output);
    }),

  rotate: async ({ values, output, now }) => {
    const folder = folderOf(values);
    const { holders: before } = settingsOf(folder);
    const keys = values.holder === undefined
      ? before.keys
      : await Promise.all(values.holder.map(readKeyFile));
    const threshold = values.threshold === undefined
      ? before.threshold
      : wholeNumber(values.threshold, "threshold");
    const online = values.online === undefined ? {} : { online: await readKeyFile(values.online) };
    rotateKeys(folder, { holders: { keys, threshold }, ...online }, now);
    output.say("The new root is pending: holders of before and of now sign it");
    show(folder, output);
  },

  halt: async ({ values, positionals: [product, version], output, now }) =>
    await withToken(values, async (hsm) => {
      const labels = { halt: required(values, "halt-key"), online: required(values, "online-key") };
      const what = { product: product ?? "", version: version ?? "", reason: required(values, "reason") };
      const number = await haltRelease(folderOf(values), hsm, labels, what, now);
      output.say(
        `Halted ${product} ${version} (halt ${number}); \`rk release resume\` and the holders' signatures let it go on`,
      );
      output.result({ halted: { product, version, number } });
    }),

  resume: ({ values, positionals: [product, version], output, now }) => {
    const folder = folderOf(values);
    resumeRelease(folder, product ?? "", version ?? "", now);
    output.say(`${product} ${version} goes on when enough holders have signed`);
    show(folder, output);
    return Promise.resolve();
  },

  show: ({ values, output }) => Promise.resolve(show(folderOf(values), output)),

  verify: async ({ values, output, now }) => {
    const place = required(values, "repository");
    const root = await Deno.readFile(required(values, "root"));
    const text = async (file: string | undefined) =>
      file === undefined ? undefined : await Deno.readTextFile(file);
    const [authority, cert, key] = await Promise.all(
      [values.ca, values["client-cert"], values["client-key"]].map(text),
    );
    const identity = cert === undefined || key === undefined ? undefined : { cert, key };
    const source = /^https?:\/\//.test(place)
      ? httpsSource(place, authority, identity)
      : directorySource(place);
    const verified = await verifyRepository(source, root, now);
    output.say(`root        version ${verified.root}, by the chain from the root that was given`);
    for (const { release, sha256, halted } of verified.releases) {
      const state = halted === undefined ? "" : `  HALTED: ${halted.reason}`;
      output.say(
        `release     ${release.product} ${release.version}  security counter ${release.securityCounter}${state}`,
      );
      output.say(`            package ${sha256}\n            loaded  ${release.loadFileHash}`);
      output.say(
        `            source  ${release.source.url} ${release.source.hash}\n            build   ${release.build.hash}`,
      );
    }
    if (verified.log) {
      output.say(
        `log         ${verified.log.origin}, ${verified.log.size} entries, root ${verified.log.root}`,
      );
    }
    output.say(
      verified.releases.length === 0
        ? "VERDICT     the repository has no release yet"
        : `VERDICT     every release is signed, logged and whole; valid until ${
          new Date(verified.expires).toISOString()
        }`,
    );
    output.result({
      verified: true,
      root: verified.root,
      log: verified.log,
      releases: verified.releases.map(({ path, length, sha256, release, halted }) => ({
        path,
        length,
        sha256,
        ...release,
        halted: halted ?? null,
      })),
    });
  },
};

/** Tells what is published, what is pending and who has signed it. */
function show(folder: ReleaseFolder, output: CommandOutput): void {
  const { holders, products } = settingsOf(folder);
  const names = new Map(holders.keys.map((key, index) => [keyIdOf(key), `holder ${index + 1}`]));
  const pending = [...folder.pending()].map(([role, { signed, signatures }]) => ({
    role,
    version: signed.version,
    signedBy: signatures.map(({ keyid }) => names.get(keyid) ?? `earlier holder ${keyid.slice(0, 8)}`),
    needed: holders.threshold,
  }));
  const releases = products.flatMap((product) =>
    Object.entries(targetsIn(folder, product)).map(([path, { custom, hashes }]) => ({
      path,
      version: custom.version,
      replaces: custom.replaces,
      securityCounter: custom.securityCounter,
      loadFileHash: custom.loadFileHash,
      sha256: hashes.sha256,
      notes: custom.notes,
    }))
  );
  for (const { path, replaces, securityCounter, loadFileHash, notes } of releases) {
    output.say(
      `release  ${path}  replaces ${replaces.join(", ") || "nothing"}, security counter ${securityCounter}`,
    );
    output.say(`         loads ${loadFileHash}${notes === "" ? "" : `\n         ${notes}`}`);
  }
  for (const { role, version, signedBy, needed } of pending) {
    const before = role === "root" && folder.newest("root") > 0 ? ", and enough of the root before" : "";
    output.say(
      `pending  ${role} ${version}: ${signedBy.length} of ${needed}${before} (${
        signedBy.join(", ") || "nobody yet"
      })`,
    );
  }
  const halts = folder.halts();
  for (const { product, version, number, reason } of halts) {
    const path = releasePath(product, version);
    const answers = (of: Record<string, TargetJson>) => (of[path]?.custom.halt.resumed ?? 0) >= number;
    const state = answers(publishedTargetsIn(folder, product))
      ? "answered: it goes on"
      : answers(targetsIn(folder, product))
      ? "HALTED; goes on when it is published"
      : "HALTED";
    output.say(`halt ${number}   ${product} ${version}: ${reason} (${state})`);
  }
  output.result({ pending, releases, halts });
}

function folderOf(values: ReleaseValues): ReleaseFolder {
  return new ReleaseFolder(required(values, "folder"));
}

async function withToken(values: ReleaseValues, work: (hsm: Hsm) => Promise<void>): Promise<void> {
  const token = tokenFromOptions({
    library: values.library,
    tokenLabel: values["token-label"],
    pinFile: values["pin-file"],
    file: values.file,
    passphraseFile: values["passphrase-file"],
  }, Deno.cwd());
  if (token === undefined) throw new CodedError("RELEASE_USAGE", "Cannot run: no token is given");
  const hsm = await openToken(token, createLogger("release"), { make: values.make ?? false });
  try {
    await work(hsm);
  } finally {
    await hsm.close();
  }
}

/** Runs a command line and returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  return await runCommand("release", args.includes("--json"), async (output) => {
    const { values, positionals: [verb, ...positionals] } = parseReleaseOptions(args);
    const step = verb !== undefined && Object.hasOwn(STEPS, verb) ? STEPS[verb] : undefined;
    if (step === undefined) {
      throw new CodedError("RELEASE_USAGE", `Cannot run: there is no ${verb ?? "verb"}`);
    }
    await step({ values, positionals, output, now: SYSTEM_CLOCK.now() });
    return EXIT_CODES.ok;
  });
}

// Native libraries keep threads that would hold the process open.
if (import.meta.main) Deno.exit(await main(Deno.args));

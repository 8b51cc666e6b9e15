/** `rk release`: releases of card software, step by step (docs/operations/release.md). */

import type { Command } from "commander";
import { packagePaths } from "shared/protocol/signed_package/names.ts";
import { parseAddress } from "shared/transport/log_source/https.ts";
import { releaseDocument } from "factory/app/release_serve_main.ts";
import { action, type CommonOptions } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";
import { type TokenCommandOptions, tokenOf, tokenSpec, withTokenOptions } from "./token.ts";

const MODULE = "factory/app/release_main.ts";
/** Standard folder, input files, output folder and host, as deno.json's permission sets write them. */
const FOLDER = ".rk/release/repository";
const INPUT = ".rk/release/in";
const OUTPUT = ".rk/release/out";
const HOST = "releases.invalid:443";
/** Standard address that files are served on. */
const LISTEN = "127.0.0.1:8496";

/** Options whose values are files. */
const FILES = [
  "holder",
  "online",
  "halt-key",
  "log-key",
  "signed",
  "root",
  "ca",
  "client-cert",
  "client-key",
];

type Options = CommonOptions & TokenCommandOptions & Record<string, unknown>;

const several = (value: string, before: string[] = []) => [...before, value];

/** What is served, and where; files are absolute. */
export type ReleaseServeOptions = Record<"folder" | "listen" | "cert" | "key" | "authority", string>;

/** How the process that serves a repository is started: it reads these files and listens there. */
export function releaseServeSpec({ listen, ...files }: ReleaseServeOptions): Omit<ChildSpec, "logFile"> {
  return {
    name: "release",
    module: "factory/app/release_serve_main.ts",
    permissions: "release-serve",
    substitution: { [INPUT]: Object.values(files), [LISTEN]: listen },
    args: [`--listen=${listen}`, ...Object.entries(files).map(([name, path]) => `--${name}=${path}`)],
  };
}

/** Registers the commands. */
export function registerRelease(program: Command): void {
  const release = program.command("release").description(
    "releases of card software: signed by at least three of five holders, logged, verified by anybody",
  );
  const withFolder = (name: string, description: string) =>
    release.command(name).description(description)
      .requiredOption("--folder <dir>", "the repository; what is published is in its `public`")
      .option("--json", "the last line is one JSON object");

  withTokenOptions(
    release.command("key").description("the public half of a release key in a token, as a file"),
  )
    .argument("<label>", "label of the key")
    .option("--make", "make the key when it is not there")
    .option("--curve <curve>", "ed25519 (default) or p256")
    .option("--out <file>", "where to write it")
    .option("--json", "the last line is one JSON object")
    .action(action(async (label: string, options: Options) => await withToken("key", [label], options, [])));

  withFolder("init", "make a repository; its first root is pending then")
    .requiredOption("--product <name>", "a product; repeat it for more", several)
    .requiredOption("--holder <file>", "public key of a key holder; at least five", several)
    .option("--threshold <n>", "how many holders must sign, at least 3", "3")
    .requiredOption("--online <file>", "public key that signs snapshot and timestamp")
    .requiredOption("--halt-key <file>", "public key that may halt (Ed25519)")
    .requiredOption("--log-key <file>", "public key of the log of releases (Ed25519)")
    .requiredOption("--origin <name>", "name of the log: host/path without a scheme")
    .action(action(async (options: Options) => await plain("init", [], options)));

  withFolder("add", "make a release pending")
    .argument("<cap>", "CAP file, with its .signed.json beside it")
    .requiredOption("--product <name>", "product of the package")
    .option("--version <version>", "its version, when it is not the package's own")
    .option("--replaces <version>", "a version that it may replace; repeat it for more", several)
    .requiredOption("--counter <n>", "security counter: goes up when a hole is closed, never down")
    .option(
      "--chip <chip/os>",
      "a chip and operating system that it runs on, P71D600/JCOP 4.5; repeat it; any otherwise",
      several,
    )
    .requiredOption("--source-url <url>", "where the public source is")
    .option("--source-commit <id>", "which state of it")
    .requiredOption("--source-hash <hex>", "SHA-256 of the source archive")
    .option("--build-hash <hex>", "SHA-256 of what building it gives; the CAP file's otherwise")
    .option("--notes <text>", "for people")
    .option("--signed <file>", "its signatures, when they are not beside it")
    .action(action(async (cap: string, options: Options) => {
      const paths = packagePaths(absolute(cap));
      return await plain("add", [paths.cap], { signed: paths.signed, ...options }, [paths.cap]);
    }));

  withTokenOptions(withFolder("sign", "sign what is pending with a holder's key"))
    .requiredOption("--key <label>", "label of the holder's key in the token")
    .option("--role <name>", "only this document: root, targets or a product")
    .action(action(async (options: Options) => await withToken("sign", [], options)));

  withTokenOptions(
    withFolder("publish", "publish what enough holders have signed; with nothing pending, keep it fresh"),
  )
    .requiredOption("--online-key <label>", "label of the on-line key")
    .requiredOption("--log-key <label>", "label of the log's key")
    .option("--fresh-only", "snapshot and timestamp alone; what is pending waits for its holders")
    .action(action(async (options: Options) => await withToken("publish", [], options)));

  withFolder("rotate", "new holders, threshold or on-line key: everything is signed again")
    .option("--holder <file>", "public key of a holder from now on; give all, at least five", several)
    .option("--threshold <n>", "how many must sign from now on, at least 3")
    .option("--online <file>", "public on-line key from now on")
    .action(action(async (options: Options) => await plain("rotate", [], options)));

  withTokenOptions(withFolder("halt", "stop the rollout of a release, with the halt key alone"))
    .argument("<product>", "its product")
    .argument("<version>", "its version")
    .requiredOption("--reason <text>", "for people")
    .requiredOption("--halt-key <label>", "label of the halt key")
    .requiredOption("--online-key <label>", "label of the on-line key")
    .action(
      action(async (product: string, version: string, options: Options) =>
        await withToken("halt", [product, version], options)
      ),
    );

  withFolder("resume", "make it pending that a halted release goes on")
    .argument("<product>", "its product")
    .argument("<version>", "its version")
    .action(
      action(async (product: string, version: string, options: Options) =>
        await plain("resume", [product, version], options)
      ),
    );

  withFolder("show", "what is released, what is pending and who has signed it")
    .action(action(async (options: Options) => await plain("show", [], options)));

  release.command("serve")
    .description(
      "serve what is published, as an upstream of gateways (client certificates of gateways alone)",
    )
    .requiredOption("--folder <dir>", "what is published: `public` of the repository")
    .requiredOption("--listen <host:port>", "address to listen on")
    .requiredOption("--cert <file>", "its certificate, PEM")
    .requiredOption("--key <file>", "its key, PEM, mode 0600")
    .requiredOption("--authority <file>", "authority of gateways, PEM")
    .action(action(async (options: ReleaseServeOptions) => {
      const { listen, ...files } = options;
      const paths = Object.fromEntries(Object.entries(files).map(([name, path]) => [name, absolute(path)]));
      return await runForeground(releaseServeSpec({ ...options, ...paths, listen }));
    }));

  release.command("describe").description(
    "print the OpenAPI document of what is served, for a gateway's firewall",
  )
    .action(action(() => {
      console.log(JSON.stringify(releaseDocument(), null, 2));
      return Promise.resolve(0);
    }));

  release.command("verify")
    .description("verify metadata, packages and log of a repository from a root that you trust; anybody can")
    .requiredOption("--repository <dir|url>", "folder of what is published, or its https address")
    .requiredOption("--root <file>", "a root that you trust")
    .option("--ca <file>", "authority of the server, PEM")
    .option("--client-cert <file>", "client certificate, PEM, where the gateway wants one")
    .option("--client-key <file>", "its key, PEM")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: Options) => {
      const place = options.repository as string;
      const remote = /^https?:\/\//.test(place);
      const repository = remote ? place : absolute(place);
      const files = filesOf(options);
      return await runForeground({
        name: "release",
        module: MODULE,
        permissions: remote ? "release-verify-https" : "release-verify",
        substitution: {
          [INPUT]: [...files, ...(remote ? [] : [repository])],
          ...(remote ? { [HOST]: hostOf(repository) } : {}),
        },
        args: ["verify", ...argumentsOf({ ...options, repository })],
      });
    }));
}

/** A step without a token. */
async function plain(
  verb: string,
  positionals: string[],
  options: Options,
  inputs: string[] = [],
): Promise<number> {
  return await runForeground({
    name: "release",
    module: MODULE,
    permissions: "release",
    substitution: { [FOLDER]: absolute(options.folder as string), [INPUT]: [...inputs, ...filesOf(options)] },
    args: [verb, ...argumentsOf(options), "--", ...positionals],
  });
}

/** A step with a token; `--halt-key` and `--log-key` are labels then. */
async function withToken(
  verb: string,
  positionals: string[],
  options: Options,
  folder?: string[],
): Promise<number> {
  const config = await tokenOf(options);
  const make = options.make === true;
  const { args, substitution, env } = tokenSpec(config, make);
  const out = options.out === undefined ? undefined : absolute(options.out as string);
  const own = Object.fromEntries(
    [
      "folder",
      "key",
      "role",
      "onlineKey",
      "logKey",
      "haltKey",
      "reason",
      "curve",
      "make",
      "freshOnly",
      "json",
    ]
      .filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  );
  const spec: Omit<ChildSpec, "logFile"> = {
    name: "release",
    module: MODULE,
    permissions: config.kind === "pkcs11" ? "release-pkcs11" : make ? "release-key" : "release-token",
    substitution: {
      ...substitution,
      [FOLDER]: folder ?? absolute(options.folder as string),
      [OUTPUT]: out ?? [],
    },
    args: [
      verb,
      ...argumentsOf(own, false),
      ...(out === undefined ? [] : [`--out=${out}`]),
      ...args,
      "--",
      ...positionals,
    ],
    ...(env ? { env } : {}),
  };
  return await runForeground(spec);
}

function filesOf(options: Options): string[] {
  return Object.entries(options).filter(([name]) => FILES.includes(dashed(name)))
    .flatMap(([, value]) => value as string | string[]).map(absolute);
}

/** Options as the process takes them. @param files whether keys are given as files. */
function argumentsOf(options: Record<string, unknown>, files = true): string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    const option = dashed(name);
    if (value === true) return [`--${option}`];
    const place = option === "folder" || files && FILES.includes(option);
    return [value].flat().map((each) => `--${option}=${place ? absolute(String(each)) : each}`);
  });
}

function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function hostOf(address: string): string {
  const { hostname, port } = parseAddress(address);
  return `${hostname}:${port || 443}`;
}

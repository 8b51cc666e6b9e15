/**
 * Serves a repository of releases behind the gateway: static files, read only. `release_files_main.ts --config FILE`. Everything in
 * them is signed, so this process can deny and delay, and nothing else. Without a gateway any web server does the same.
 */

import type { HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import { isAbsolute, join, resolve } from "node:path";
import type { TLSSocket } from "node:tls";
import { parseArgs } from "node:util";
import { Registry } from "prom-client";
import { parse } from "yaml";
import { z } from "zod";
import { CodedError, codeOf, defineErrors, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { readTrust } from "shared/protocol/x509/trust.ts";
import { verifyCertificate } from "shared/protocol/x509/verification.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { openAdmin } from "./attestation_admin.ts";
import { splitAddress } from "./attestation_config.ts";
import { openListener } from "./attestation_listener.ts";

const Address = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "not host:port");
const File = z.strictObject({
  listen: Address,
  /** Health, without TLS: loopback only. */
  admin: Address,
  /** What stands before the repository's own paths. */
  path: z.string().regex(/^(\/[a-z0-9-]+)*$/).default(""),
  /** Folder `public` of the repository. */
  folder: z.string().min(1),
  tls: z.strictObject({
    certificate: z.string().min(1),
    key: z.string().min(1),
    /** Who may connect: certificates of gateways. */
    gateways: z.strictObject({
      authority: z.string().min(1),
      revocationList: z.string().min(1).optional(),
      whenStale: z.enum(["refuse", "accept"]).default("refuse"),
    }),
  }),
  drainMs: z.int().min(0).default(5_000),
});

/** A checked configuration; paths are absolute. */
export type ReleaseFilesConfig = z.infer<typeof File>;

const GATEWAY_IDENTITY = /^urn:recovery-key:gateway:[a-z0-9][a-z0-9-]{0,62}$/;
/** Names that a repository has: no segment begins with a dot, so none leads out of the folder. */
const NAME = /^(metadata|targets|log)(\/[A-Za-z0-9_%-][A-Za-z0-9._%-]*){1,8}$|^halt\.json$/;

/** Reads a configuration. @throws {CodedError} `RELEASE_FILES_CONFIG`. */
export function readReleaseFilesConfig(file: string): ReleaseFilesConfig {
  const at = (path: string) => isAbsolute(path) ? path : join(resolve(file, ".."), path);
  try {
    const { tls, folder, ...more } = File.parse(parse(Deno.readTextFileSync(file)));
    const { gateways } = tls;
    return {
      ...more,
      folder: at(folder),
      tls: {
        certificate: at(tls.certificate),
        key: at(tls.key),
        gateways: {
          ...gateways,
          authority: at(gateways.authority),
          ...(gateways.revocationList === undefined ? {} : { revocationList: at(gateways.revocationList) }),
        },
      },
    };
  } catch (error) {
    throw new CodedError("RELEASE_FILES_CONFIG", `Cannot use configuration ${file}`, {}, error);
  }
}

/** The files, as an application. @param allowed whether a request's connection is a gateway's. */
export function releaseFiles(
  config: Pick<ReleaseFilesConfig, "folder" | "path">,
  allowed: (env: HttpBindings) => Promise<boolean>,
): Hono<{ Bindings: HttpBindings }> {
  const app = new Hono<{ Bindings: HttpBindings }>();
  app.get("*", async (c) => {
    if (!await allowed(c.env)) return c.text("", 403);
    const { path } = c.req;
    const name = path.startsWith(`${config.path}/`) ? path.slice(config.path.length + 1) : "";
    if (!NAME.test(name)) return c.text("", 404);
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = await Deno.readFile(`${config.folder}/${name}`);
    } catch {
      return c.text("", 404);
    }
    const headers = {
      "content-type": "application/octet-stream",
      "accept-ranges": "bytes",
      "cache-control": "no-cache",
    };
    const from = Number(/^bytes=(\d{1,9})-$/.exec(c.req.header("range") ?? "")?.[1] ?? 0);
    if (from === 0) return c.body(bytes, 200, headers);
    if (from >= bytes.length) return c.body(null, 416, { "content-range": `bytes */${bytes.length}` });
    const range = `bytes ${from}-${bytes.length - 1}/${bytes.length}`;
    return c.body(bytes.subarray(from), 206, { ...headers, "content-range": range });
  });
  return app;
}

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({ args, options: { config: { type: "string" } } });
  if (values.config === undefined) {
    throw new CodedError("RELEASE_FILES_CONFIG", "Cannot start: give --config FILE");
  }
  const config = readReleaseFilesConfig(values.config);
  const { gateways, certificate, key } = config.tls;
  const authority = await Deno.readTextFile(gateways.authority);
  const trust = await readTrust([{
    certificates: { name: gateways.authority, pem: authority },
    ...(gateways.revocationList === undefined ? {} : {
      revocationList: {
        name: gateways.revocationList,
        pem: await Deno.readTextFile(gateways.revocationList),
      },
    }),
    whenStale: gateways.whenStale,
  }]);
  const app = releaseFiles(config, async ({ incoming }) => {
    const socket = incoming.socket as TLSSocket;
    const raw = socket.authorized ? socket.getPeerCertificate().raw : undefined;
    if (raw === undefined) return false;
    const verdict = await verifyCertificate([new Uint8Array(raw)], trust, {
      usage: "client",
      now: SYSTEM_CLOCK.now(),
    });
    return verdict.kind === "accept" && GATEWAY_IDENTITY.test(verdict.identity);
  });
  const admin = openAdmin(
    splitAddress(config.admin),
    { registry: new Registry() },
    () => Promise.resolve({ ok: true, failing: [] }),
  );
  const listener = await openListener(splitAddress(config.listen), {
    certificate: await Deno.readTextFile(certificate),
    key: await Deno.readTextFile(key),
    authority,
  }, app.fetch);
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => {
      listener.drain(config.drainMs).then(() => admin.close()).finally(() => Deno.exit(EXIT_CODES.ok));
    });
  }
  console.log(JSON.stringify({ ready: true, listen: listener.address, admin: admin.address }));
}

defineErrors({
  RELEASE_FILES_CONFIG: {
    fault: "configuration",
    retry: false,
    next:
      "Give --config FILE with listen, admin, folder and tls; factory/app/release_files_main.ts describes each.",
  },
});

if (import.meta.main) {
  try {
    await main(Deno.args);
  } catch (error) {
    const code = codeOf(error);
    console.error(`${code}: ${error instanceof Error ? error.message : "it failed"}\n${errorRow(code).next}`);
    Deno.exit(EXIT_CODES[errorRow(code).fault]);
  }
}

/**
 * The process of `rk release serve`: a repository's published files, as an upstream of gateways. It only reads.
 *
 *     release_serve_main.ts --folder DIR --listen HOST:PORT --cert FILE --key FILE --authority FILE
 *
 * The first line on standard output is one JSON object: `ready`, and the address. SIGTERM and SIGINT end it.
 */

import { createHash } from "node:crypto";
import { parseArgs } from "node:util";
import { OpenAPIHono } from "@hono/zod-openapi";
import { CodedError, EXIT_CODES } from "shared/base/errors.ts";
import { openMtlsListener } from "shared/transport/mtls_listener.ts";
import { partOf, servedFile } from "../domain/release/static_files.ts";
import { runCommand } from "./command_process.ts";
import "../domain/release/errors.ts";

const OPTIONS = {
  folder: { type: "string" },
  listen: { type: "string" },
  cert: { type: "string" },
  key: { type: "string" },
  authority: { type: "string" },
} as const;

const TIMESTAMP = "metadata/timestamp.json";

/** Time that answers in work are given at the end, in milliseconds. */
const DRAIN_MS = 5_000;

/** The document of what is served, for the gateway's firewall. */
export function releaseDocument(): object {
  const app = new OpenAPIHono();
  const file = (path: string, summary: string) => {
    const parameters = [...path.matchAll(/\{([a-z]+)\}/g)].map(([, name]) => ({
      name: name!,
      in: "path" as const,
      required: true,
      schema: { type: "string" as const, maxLength: 255, pattern: "^[A-Za-z0-9.%_-]+$" },
    }));
    const range = {
      name: "range",
      in: "header" as const,
      schema: { type: "string" as const, maxLength: 64 },
    };
    app.openAPIRegistry.registerPath({
      method: "get",
      path,
      summary,
      parameters: [...parameters, range],
      responses: {
        200: { description: "The file" },
        206: { description: "The part of it that was asked for" },
        304: { description: "It is as it was" },
        404: { description: "There is none" },
        416: { description: "It is not as long as that" },
      },
    });
  };
  file("/metadata/{file}", "Metadata of The Update Framework");
  file("/targets/{product}/{version}/{file}", "A package");
  file("/log/checkpoint", "Checkpoint of the log of releases (C2SP tlog-tiles)");
  file("/log/tile/{level}/{first}", "A tile of the log");
  file("/log/tile/{level}/{first}/{second}", "A partial tile of the log, or one of a long log");
  file("/log/tile/{level}/{first}/{second}/{third}", "A partial tile of a long log");
  file("/log/proofs/{file}", "Proof that a package is in the log (C2SP tlog-proof)");
  file("/halt.json", "Halts");
  file("/openapi.json", "This document");
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "Recovery Key releases", version: "1", description: "Static files, GET only." },
  });
}

/** Answers one request. */
export async function answer(folder: string, request: Request): Promise<Response> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    return new Response(null, { status: 405, headers: { allow: "GET, HEAD" } });
  }
  const path = new URL(request.url).pathname.slice(1);
  if (path === "openapi.json") return Response.json(releaseDocument());
  // For gateways' probes, not in the document: a repository without a timestamp has nothing to serve.
  if (path === "readyz") {
    const ready = await readIfThere(`${folder}/${TIMESTAMP}`) !== undefined;
    return Response.json({ ready }, { status: ready ? 200 : 503 });
  }
  const served = servedFile(path);
  const bytes = served === undefined ? undefined : await readIfThere(`${folder}/${path}`);
  if (served === undefined || bytes === undefined) return new Response(null, { status: 404 });
  const etag = `"${createHash("sha256").update(bytes).digest("hex").slice(0, 32)}"`;
  const headers = {
    etag,
    "accept-ranges": "bytes",
    "content-type": served.type,
    "cache-control": served.keeping === "for-ever" ? "public, max-age=31536000, immutable" : "no-cache",
    "x-content-type-options": "nosniff",
  };
  if (request.headers.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
  const conditional = request.headers.get("if-range");
  const range = conditional === null || conditional === etag ? request.headers.get("range") : null;
  const part = partOf(range, bytes.length);
  if (part === "outside") {
    return new Response(null, {
      status: 416,
      headers: { ...headers, "content-range": `bytes */${bytes.length}` },
    });
  }
  const { first, last } = part ?? { first: 0, last: bytes.length - 1 };
  const body = bytes.slice(first, last + 1);
  return new Response(request.method === "HEAD" ? null : body, {
    status: part === undefined ? 200 : 206,
    headers: {
      ...headers,
      "content-length": String(body.length),
      ...(part === undefined ? {} : { "content-range": `bytes ${first}-${last}/${bytes.length}` }),
    },
  });
}

async function readIfThere(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) return undefined;
    throw error;
  }
}

async function serve(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({ args: [...args], options: OPTIONS });
  const { folder, listen, cert, key, authority } = values;
  const [, hostname, port] = /^(.+):(\d{1,5})$/.exec(listen ?? "") ?? [];
  if (!folder || !hostname || !port || !cert || !key || !authority) {
    throw new CodedError(
      "RELEASE_USAGE",
      "Cannot serve: give --folder, --listen, --cert, --key and --authority",
    );
  }
  const keys = {
    certificate: await Deno.readTextFile(cert),
    key: await Deno.readTextFile(key),
    authority: await Deno.readTextFile(authority),
  };
  const address = { hostname, port: Number(port) };
  const listener = await openMtlsListener(address, keys, (request) => answer(folder, request));
  console.log(JSON.stringify({ ready: true, address: listener.address }));
  await new Promise<void>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(signal, () => resolve());
  });
  await listener.drain(DRAIN_MS);
  return EXIT_CODES.ok;
}

if (import.meta.main) Deno.exit(await runCommand("release", false, () => serve(Deno.args)));

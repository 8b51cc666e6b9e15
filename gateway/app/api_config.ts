/** The part of the configuration that says which requests a service describes, and the reading of the documents it names. */

import { parseDocument } from "yaml";
import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import type { DescriptionRule } from "../domain/description.ts";
import { type ApiDescription, compileOpenApi, OpenApiFault } from "../protocol/openapi.ts";
import "../transport/errors.ts";

/** A description: `apis.NAME`. */
export const Api = z.strictObject({
  /** OpenAPI 3.1, JSON or YAML: a file, so that no upstream decides what may reach it. */
  document: z.string().min(1, "expected the path of a file"),
  /** Most objects and lists inside one another in a body. */
  maxDepth: z.int().min(1).max(256).default(32),
});

/** How a route is compared with a description: `routes[].firewall`. */
export const RouteFirewall = z.strictObject({
  /** Name of one of `apis`. */
  api: z.string(),
  /** `dry-run`: what would be refused is counted and logged, and passes. */
  mode: z.enum(["enforce", "dry-run"]).default("enforce"),
  /** `exempt`: the body's type and size are judged, not its content; for streamed bodies. */
  body: z.enum(["judge", "exempt"]).default("judge"),
});

/** Compiled documents by name. */
export type Apis = ReadonlyMap<string, ApiDescription>;

/** Reads and compiles every document. @throws {CodedError} `GATEWAY_FILE`, `GATEWAY_API` with the place in the document. */
export async function readApis(
  apis: Readonly<Record<string, z.infer<typeof Api>>>,
  read: (path: string, what: string) => Promise<string>,
): Promise<Apis> {
  const compiled = new Map<string, ApiDescription>();
  for (const [name, { document }] of Object.entries(apis)) {
    compiled.set(name, compileText(document, await read(document, `description of ${name}`)));
  }
  return compiled;
}

function compileText(file: string, text: string): ApiDescription {
  try {
    // YAML 1.2 has JSON as a part of it; repeated keys are a fault in both.
    const parsed = parseDocument(text, { uniqueKeys: true, strict: true });
    if (parsed.errors.length > 0) throw new OpenApiFault("", parsed.errors[0]!.message.split("\n")[0]!);
    return compileOpenApi(parsed.toJS({ maxAliasCount: 50 }));
  } catch (error) {
    const at = error instanceof OpenApiFault ? error.at : "";
    const why = error instanceof Error ? error.message : "unknown fault";
    throw new CodedError("GATEWAY_API", `Cannot use ${file}${at === "" ? "" : ` at ${at}`}: ${why}`, { at });
  }
}

/** The rule of a route. */
export function descriptionRule(
  firewall: z.infer<typeof RouteFirewall> | undefined,
  config: { readonly apis: Readonly<Record<string, z.infer<typeof Api>>> },
  apis: Apis,
): DescriptionRule | undefined {
  if (firewall === undefined) return undefined;
  return {
    api: apis.get(firewall.api)!,
    dryRun: firewall.mode === "dry-run",
    judgesBody: firewall.body === "judge",
    maxDepth: config.apis[firewall.api]!.maxDepth,
  };
}

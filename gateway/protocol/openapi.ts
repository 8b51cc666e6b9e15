/**
 * An OpenAPI 3.1 document as something that requests can be compared with. Schemas are compiled by ajv when the document is
 * loaded; documents are the operator's own files, never what an upstream or a client sends, so compiling is no hole.
 *
 * What is in a document and cannot be judged (form bodies, deepObject parameters, references to other files, OpenAPI 3.0) is
 * a fault of the configuration: nothing is passed over in silence.
 */

import { Ajv2020, type ErrorObject, type ValidateFunction } from "ajv/dist/2020.js";
import ajvFormats from "ajv-formats";
import { z } from "zod";

/** Compares a value with a schema: undefined, or where and by which keyword it fails. Never repeats the value. */
export type Check = (value: unknown) => string | undefined;

/** A parameter of an operation. */
export interface Parameter {
  readonly name: string;
  readonly required: boolean;
  /** Repeated parameters become a list. */
  readonly isList: boolean;
  readonly check: Check;
}

/** One method on one path. */
export interface Operation {
  /** Upper case. */
  readonly method: string;
  /** Literal segments, and parameters for whole segments. */
  readonly segments: readonly (string | Parameter)[];
  readonly query: ReadonlyMap<string, Parameter>;
  /** Names in lower case. */
  readonly headers: readonly Parameter[];
  /** Undefined: requests have no body. A media type without a check is judged by type and size alone. */
  readonly body:
    | { readonly required: boolean; readonly content: ReadonlyMap<string, Check | undefined> }
    | undefined;
}

/** A document. */
export interface ApiDescription {
  readonly title: string;
  /** Operations whose paths have fewer parameters come first: `/a/new` before `/a/{id}`. */
  readonly operations: readonly Operation[];
}

/** Why a document is of no use; `at` is a JSON pointer. */
export class OpenApiFault extends Error {
  constructor(readonly at: string, message: string) {
    super(message);
  }
}

const Ref = z.looseObject({ $ref: z.string() });
const ParameterObject = z.looseObject({
  name: z.string().min(1).max(64),
  in: z.enum(["path", "query", "header", "cookie"]),
  required: z.boolean().optional(),
  style: z.string().optional(),
  explode: z.boolean().optional(),
  schema: z.union([z.boolean(), z.looseObject({})]).optional(),
});
const BodyObject = z.looseObject({
  required: z.boolean().optional(),
  content: z.record(z.string(), z.looseObject({ schema: z.unknown().optional() })),
});
const OperationObject = z.looseObject({
  parameters: z.array(z.unknown()).optional(),
  requestBody: z.unknown().optional(),
});
const Document = z.looseObject({
  openapi: z.string(),
  info: z.looseObject({ title: z.string() }),
  servers: z.array(z.looseObject({ url: z.string() })).optional(),
  paths: z.record(z.string(), z.looseObject({ parameters: z.array(z.unknown()).optional() })),
});

const METHODS = ["get", "put", "post", "delete", "options", "head", "patch"] as const;
/** Keywords of OpenAPI that say nothing about validity. */
const ANNOTATIONS = ["discriminator", "example", "xml", "externalDocs"];
/** Top of a document, which the compiler takes for a schema because references lead into it. */
const TOP = [
  "openapi",
  "info",
  "jsonSchemaDialect",
  "servers",
  "paths",
  "webhooks",
  "components",
  "security",
  "tags",
];
const ROOT = "urn:openapi:document";
const LITERAL = /^[A-Za-z0-9._~!$&'()*+,;=:@%-]+$/;
const TEMPLATE = /^\{([^{}]+)\}$/;

/** Compiles a document. @throws {OpenApiFault} when it is not OpenAPI 3.1, or has what cannot be judged. */
export function compileOpenApi(document: unknown): ApiDescription {
  const read = Document.safeParse(document);
  if (!read.success) {
    const issue = read.error.issues[0]!;
    throw new OpenApiFault(pointer(issue.path), issue.message);
  }
  if (!/^3\.1\.\d+$/.test(read.data.openapi)) throw new OpenApiFault("/openapi", "expected OpenAPI 3.1");
  const compiler = new Compiler(read.data);
  const operations = Object.entries(read.data.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => item[method] === undefined ? [] : [compiler.operation(path, item, method)])
  );
  const open = ({ segments }: Operation) => segments.filter((segment) => typeof segment !== "string").length;
  return { title: read.data.info.title, operations: operations.sort((a, b) => open(a) - open(b)) };
}

class Compiler {
  readonly #ajv: Ajv2020;
  readonly #base: readonly string[];

  constructor(readonly document: z.infer<typeof Document>) {
    this.#ajv = new Ajv2020({
      strict: true,
      strictTypes: false,
      strictTuples: false,
      strictRequired: false,
      allowUnionTypes: true,
      // One fault is enough, and a hostile body is not to cost more.
      allErrors: false,
      ownProperties: true,
      logger: false,
    });
    // The types of this package describe CommonJS; the function is what arrives.
    (ajvFormats as unknown as (ajv: Ajv2020) => void)(this.#ajv);
    for (const keyword of [...ANNOTATIONS, ...TOP, ...extensions(document)]) this.#ajv.addKeyword(keyword);
    this.#ajv.addSchema(document, ROOT, undefined, false);
    this.#base = segmentsOf(new URL(document.servers?.[0]?.url ?? "/", "http://base").pathname);
    if (document.servers?.[0]?.url.includes("{")) {
      throw new OpenApiFault("/servers/0/url", "expected a URL without variables");
    }
  }

  operation(path: string, item: Record<string, unknown>, method: (typeof METHODS)[number]): Operation {
    const at = ["paths", path, method];
    if (!path.startsWith("/")) throw new OpenApiFault(pointer(at), "expected a path that begins with /");
    const operation = parsed(OperationObject, item[method], at);
    const parameters = new Map<string, { parameter: Parameter; where: string }>();
    // An operation's own parameter replaces the path's of the same name and place.
    for (
      const [list, base] of [[item["parameters"], ["paths", path, "parameters"]], [operation.parameters, [
        ...at,
        "parameters",
      ]]] as const
    ) {
      for (const [i, raw] of (Array.isArray(list) ? list : []).entries()) {
        const found = this.#parameter(raw, [...base, String(i)]);
        if (found !== undefined) parameters.set(`${found.where} ${found.parameter.name}`, found);
      }
    }
    const of = (where: string) =>
      [...parameters.values()].filter((p) => p.where === where).map((p) => p.parameter);
    return {
      method: method.toUpperCase(),
      segments: [...this.#base, ...this.#segments(path, of("path"), at)],
      query: new Map(of("query").map((parameter) => [parameter.name, parameter])),
      headers: of("header"),
      body: this.#body(operation.requestBody, [...at, "requestBody"]),
    };
  }

  #segments(path: string, parameters: readonly Parameter[], at: readonly string[]): (string | Parameter)[] {
    return segmentsOf(path).map((segment) => {
      const name = TEMPLATE.exec(segment)?.[1];
      if (name === undefined && LITERAL.test(segment)) return segment;
      const parameter = parameters.find((each) => each.name === name);
      if (parameter !== undefined) return parameter;
      throw new OpenApiFault(pointer(at), "expected each {name} to be a whole segment with a path parameter");
    });
  }

  #parameter(raw: unknown, at: readonly string[]): { parameter: Parameter; where: string } | undefined {
    const [value, place] = this.#resolve(raw, at);
    const parameter = parsed(ParameterObject, value, place);
    if (parameter.in === "cookie") throw new OpenApiFault(pointer(place), "expected no cookie parameters");
    // RFC: OpenAPI 3.1, 4.8.12.1: these three are described elsewhere in the document.
    if (parameter.in === "header" && /^(?:accept|content-type|authorization)$/i.test(parameter.name)) {
      return undefined;
    }
    const style = parameter.in === "query" ? "form" : "simple";
    if ((parameter.style ?? style) !== style || parameter.schema === undefined) {
      throw new OpenApiFault(pointer(place), `expected a schema, and the style ${style}`);
    }
    const type = typeof parameter.schema === "boolean" ? undefined : parameter.schema["type"];
    if (type === "object" || type === "array" && (parameter.in !== "query" || parameter.explode === false)) {
      throw new OpenApiFault(pointer(place), "expected a simple value, or a list whose items are repeated");
    }
    return {
      where: parameter.in,
      parameter: {
        name: parameter.in === "header" ? parameter.name.toLowerCase() : parameter.name,
        required: parameter.required === true || parameter.in === "path",
        isList: type === "array",
        check: this.#check([...place, "schema"]),
      },
    };
  }

  #body(raw: unknown, at: readonly string[]): Operation["body"] {
    if (raw === undefined) return undefined;
    const [value, place] = this.#resolve(raw, at);
    const body = parsed(BodyObject, value, place);
    const content = new Map<string, Check | undefined>();
    for (const [name, media] of Object.entries(body.content)) {
      const type = name.split(";", 1)[0]!.trim().toLowerCase();
      const here = [...place, "content", name];
      if (!/^[a-z0-9.+-]+\/[a-z0-9.+-]+$/.test(type)) {
        throw new OpenApiFault(pointer(here), "expected one media type, without wildcards");
      }
      if (/^(?:application\/x-www-form-urlencoded|multipart\/)/.test(type)) {
        throw new OpenApiFault(pointer(here), "cannot judge forms: expected JSON or an opaque type");
      }
      const json = isJsonType(type);
      if (json && media.schema === undefined) throw new OpenApiFault(pointer(here), "expected a schema");
      content.set(type, json ? this.#check([...here, "schema"]) : undefined);
    }
    return { required: body.required === true, content };
  }

  /** Follows a reference inside the document. */
  #resolve(value: unknown, at: readonly string[], depth = 0): [unknown, readonly string[]] {
    const ref = Ref.safeParse(value);
    if (!ref.success) return [value, at];
    const { $ref } = ref.data;
    if (!$ref.startsWith("#/") || depth > 8) {
      throw new OpenApiFault(pointer(at), "expected a reference inside of this document");
    }
    const path = $ref.slice(2).split("/").map((part) =>
      decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~")
    );
    let found: unknown = this.document;
    for (const part of path) {
      found = typeof found === "object" && found !== null && Object.hasOwn(found, part)
        ? (found as Record<string, unknown>)[part]
        : undefined;
    }
    return this.#resolve(found, path, depth + 1);
  }

  #check(path: readonly string[]): Check {
    let validate: ValidateFunction;
    try {
      // By reference, so that the references inside of the schema are those of the document.
      validate = this.#ajv.compile({ $ref: `${ROOT}#${encodeURI(pointer(path))}` });
    } catch (error) {
      throw new OpenApiFault(pointer(path), error instanceof Error ? error.message : "unknown fault");
    }
    return (value) => validate(value) ? undefined : whyNot(validate.errors?.[0]);
  }
}

/** Whether a media type is JSON (RFC 6839, 3.1). */
export function isJsonType(type: string): boolean {
  return type === "application/json" || type.endsWith("+json");
}

function whyNot(error: ErrorObject | undefined): string {
  if (error === undefined) return "schema";
  const { missingProperty, additionalProperty, unevaluatedProperty } = error.params as Record<
    string,
    unknown
  >;
  const named = missingProperty ?? additionalProperty ?? unevaluatedProperty;
  return `${plain(error.instancePath || "/", 120)} ${error.keyword}${
    typeof named === "string" ? ` ${plain(named, 40)}` : ""
  }`;
}

/** Names come from clients: what is logged is short and of plain characters. */
function plain(text: string, length: number): string {
  return text.slice(0, length).replaceAll(/[^A-Za-z0-9_.\/~-]/g, "?");
}

function segmentsOf(path: string): string[] {
  return path === "/" ? [] : path.slice(1).replace(/\/$/, "").split("/");
}

function pointer(path: readonly PropertyKey[]): string {
  return path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}

function parsed<S extends z.ZodType>(schema: S, value: unknown, at: readonly string[]): z.infer<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new OpenApiFault(pointer([...at, ...issue.path]), issue.message);
}

/** Names of `x-` keywords anywhere in a document: the strict compiler would take them for typing mistakes. */
function extensions(value: unknown, names = new Set<string>()): Set<string> {
  if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      if (/^x-[a-z0-9-]+$/i.test(key)) names.add(key);
      extensions(inner, names);
    }
  }
  return names;
}

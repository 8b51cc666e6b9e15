/** The positive firewall: a request passes when the service's own description has it. Pure decisions over a compiled document. */

import { type ApiDescription, isJsonType, type Operation, type Parameter } from "../protocol/openapi.ts";
import { type JsonFault, readStrictJson } from "../protocol/strict_json.ts";
import { type Refusal, type RefusalReason, refuse } from "./refusals.ts";
import type { StrictRequest } from "./request_rules.ts";

/** How a route is compared with a description. */
export interface DescriptionRule {
  readonly api: ApiDescription;
  /** Refusals are counted and logged, and the request passes. */
  readonly dryRun: boolean;
  /** False for routes whose bodies are streamed: their type and size are judged, not their content. */
  readonly judgesBody: boolean;
  /** Most objects and lists inside one another. */
  readonly maxDepth: number;
}

/** Outcome of the judgement of a head. */
export type HeadJudgement = { readonly kind: "described"; readonly operation: Operation } | Refusal;

/** Judges everything but the body. */
export function judgeHead(api: ApiDescription, request: StrictRequest): HeadJudgement {
  const segments = request.path.slice(1).split("/");
  if (request.path === "/") segments.pop();
  const onPath = api.operations.filter((operation) => fits(operation, segments));
  if (onPath.length === 0) return refuse("api-path");
  // A HEAD is the GET without its answer's body (RFC 9110, 9.3.2).
  const operation = onPath.find(({ method }) => method === request.method) ??
    onPath.find(({ method }) => request.method === "HEAD" && method === "GET");
  if (operation === undefined) {
    return refuse("api-method", { allow: [...new Set(onPath.map(({ method }) => method))].join(", ") });
  }
  return judgePath(operation, segments) ?? judgeQuery(operation, request.query) ??
    judgeHeaders(operation, request.headers) ?? judgeContent(operation, request) ??
    { kind: "described", operation };
}

/** Judges a body that was read whole, of a request whose head is described. */
export function judgeBody(
  rule: Pick<DescriptionRule, "maxDepth">,
  operation: Operation,
  request: StrictRequest,
  body: Uint8Array | undefined,
): Refusal | undefined {
  if (body === undefined || body.length === 0) {
    return operation.body?.required ? refuse("api-body-missing") : undefined;
  }
  const type = mediaType(request)?.type;
  const check = type === undefined ? undefined : operation.body?.content.get(type);
  if (check === undefined) return undefined;
  const reading = readStrictJson(body, rule.maxDepth);
  if (reading.kind === "fault") return refuse(JSON_REASONS[reading.fault]);
  const detail = check(reading.value);
  return detail === undefined ? undefined : { ...refuse("api-schema"), detail };
}

/** Fault of a JSON text -> rule. */
const JSON_REASONS = {
  "json-encoding": "json-encoding",
  "json-syntax": "json-syntax",
  "json-depth": "json-depth",
  "json-duplicate-key": "json-duplicate-key",
  "json-prototype-key": "json-prototype-key",
  "json-number": "json-number",
  "json-string": "json-string",
} as const satisfies Record<JsonFault, RefusalReason>;

function fits({ segments }: Operation, actual: readonly string[]): boolean {
  return segments.length === actual.length &&
    segments.every((segment, i) => typeof segment === "string" ? segment === actual[i] : actual[i] !== "");
}

function judgePath({ segments }: Operation, actual: readonly string[]): Refusal | undefined {
  for (const [i, segment] of segments.entries()) {
    if (typeof segment === "string") continue;
    const detail = judgeText(segment, decodeURIComponent(actual[i]!));
    if (detail !== undefined) return named("api-path-parameter", segment.name, detail);
  }
}

function judgeQuery({ query }: Operation, text: string): Refusal | undefined {
  const values = new Map<string, string[]>();
  for (const part of text.length <= 1 ? [] : text.slice(1).split("&")) {
    const equals = part.indexOf("=");
    const [name, value] = (equals < 0 ? [part, ""] : [part.slice(0, equals), part.slice(equals + 1)])
      .map((each) => decodeURIComponent(each.replaceAll("+", " "))) as [string, string];
    const parameter = query.get(name);
    if (parameter === undefined) return refuse("api-query-unknown");
    const list = values.get(name) ?? [];
    if (list.length > 0 && !parameter.isList) return named("api-query-duplicate", name);
    values.set(name, [...list, value]);
  }
  for (const [name, parameter] of query) {
    const list = values.get(name);
    if (list === undefined) {
      if (parameter.required) return named("api-query-missing", name);
      continue;
    }
    const detail = parameter.isList ? judgeList(parameter, list) : judgeText(parameter, list[0]!);
    if (detail !== undefined) return named("api-query", name, detail);
  }
}

function judgeHeaders({ headers }: Operation, actual: StrictRequest["headers"]): Refusal | undefined {
  for (const parameter of headers) {
    const values = actual.filter(([name]) => name === parameter.name);
    if (values.length === 0 && !parameter.required) continue;
    const detail = values.length === 1 ? judgeText(parameter, values[0]![1]) : "/ expected once";
    if (detail !== undefined) return named("api-header", parameter.name, detail);
  }
}

function judgeContent({ body }: Operation, request: StrictRequest): Refusal | undefined {
  if (!request.hasBody) return body?.required ? refuse("api-body-missing") : undefined;
  if (body === undefined) return refuse("api-body-unexpected");
  // A packed body would have to be unpacked to be judged, and says nothing about its size.
  const coding = request.headers.find(([name]) => name === "content-encoding")?.[1].toLowerCase();
  if (coding !== undefined && coding !== "identity") return refuse("api-content-encoding");
  const media = mediaType(request);
  if (media === undefined || !body.content.has(media.type)) return refuse("api-media-type");
  // JSON is UTF-8 (RFC 8259, 8.1): under another name the service could read other text than we do.
  if (isJsonType(media.type) && media.charset !== undefined && media.charset !== "utf-8") {
    return refuse("api-charset");
  }
}

const MEDIA_TYPE =
  /^([a-z0-9.+-]+\/[a-z0-9.+-]+)((?:[ \t]*;[ \t]*[a-z0-9!#$%&'*+.^_`|~-]+=(?:[a-z0-9!#$%&'*+.^_`|~-]+|"[^"\\]*"))*)$/;

function mediaType(request: StrictRequest): { type: string; charset: string | undefined } | undefined {
  const value = request.headers.find(([name]) => name === "content-type")?.[1];
  const match = MEDIA_TYPE.exec(value?.toLowerCase() ?? "");
  if (match === null) return undefined;
  const charsets = [...match[2]!.matchAll(/;[ \t]*charset=(?:"([^"]*)"|([^;"\s]+))/g)];
  if (charsets.length > 1) return undefined;
  return { type: match[1]!, charset: charsets[0]?.[1] ?? charsets[0]?.[2] };
}

/** A text can stand for a number or a truth value; it passes when one of its meanings does. */
function judgeText({ check }: Parameter, text: string): string | undefined {
  const faults = meanings(text).map((value) => check(value));
  return faults.includes(undefined) ? undefined : faults.at(-1);
}

function judgeList({ check }: Parameter, texts: readonly string[]): string | undefined {
  const asText = check(texts);
  return asText === undefined ? undefined : check(texts.map((text) => meanings(text).at(-1)));
}

function meanings(text: string): unknown[] {
  if (text === "true" || text === "false") return [text, text === "true"];
  const isNumber = /^-?(?:0|[1-9][0-9]{0,15})(?:\.[0-9]{1,20})?$/.test(text);
  return isNumber && Math.abs(Number(text)) <= Number.MAX_SAFE_INTEGER ? [text, Number(text)] : [text];
}

function named(reason: RefusalReason, name: string, detail?: string): Refusal {
  return { ...refuse(reason), detail: detail === undefined ? name : `${name}: ${detail}` };
}

/** The positive firewall in the pipeline: the head as a stage, the body when it was read; a dry run reports and lets pass. */

import { type DescriptionRule, judgeBody, judgeHead } from "../domain/description.ts";
import type { Operation } from "../protocol/openapi.ts";
import type { Refusal } from "../domain/refusals.ts";
import type { StrictRequest } from "../domain/request_rules.ts";

/** Told of what a dry run would have refused. */
export interface Observer {
  observe(refusal: Refusal): void;
}

/** What was found for a head, until its body is there. */
const OPERATIONS = new WeakMap<StrictRequest, Operation>();

/** Compares a head with the description of its route. */
export function firewallHead(
  rule: DescriptionRule | undefined,
  request: StrictRequest,
  observer?: Observer,
): Refusal | undefined {
  if (rule === undefined) return undefined;
  const judgement = judgeHead(rule.api, request);
  if (judgement.kind === "refuse") return enforced(rule, judgement, observer);
  OPERATIONS.set(request, judgement.operation);
}

/** Compares a body that was read whole with the description of its route. */
export function firewallBody(
  rule: DescriptionRule | undefined,
  request: StrictRequest,
  body: Uint8Array | undefined,
  observer?: Observer,
): Refusal | undefined {
  if (rule === undefined || !rule.judgesBody || body === undefined) return undefined;
  const operation = OPERATIONS.get(request);
  // In a dry run the head was refused already: there is no operation whose schema could be asked.
  if (operation === undefined) return undefined;
  const refusal = judgeBody(rule, operation, request, body);
  return refusal === undefined ? undefined : enforced(rule, refusal, observer);
}

function enforced(rule: DescriptionRule, refusal: Refusal, observer?: Observer): Refusal | undefined {
  if (!rule.dryRun) return refusal;
  observer?.observe(refusal);
}

/** The update service over HTTPS, behind its gateways. Every request may be sent again, so a gateway that is gone costs nothing. */

import { JsonOverHttps, type JsonOverHttpsOptions } from "shared/service/https_json.ts";
import { UpdateChallengeAnswer, UpdateStep } from "shared/protocol/wire/update.ts";
import type { UpdateServicePort } from "./ports.ts";
import "shared/protocol/wire/update_errors.ts";

/** Opens the port. Nothing is connected until the first request. @throws {CodedError} `HTTPS_CONFIGURATION`. */
export function updateServiceOver(
  options: Omit<JsonOverHttpsOptions, "what">,
): UpdateServicePort & Disposable {
  const https = new JsonOverHttps({ ...options, what: "the update service" });
  const post = (update: string, what: string, body?: unknown) =>
    ({ method: "POST", path: `/v1/updates/${update}/${what}`, body }) as const;
  return {
    challenge: (update) => https.call(post(update, "challenge"), UpdateChallengeAnswer),
    begin: (update, request) => https.call(post(update, "begin", request), UpdateStep),
    resume: (update, request) => https.call(post(update, "resume", request), UpdateStep),
    step: (update, step, answers) => https.call(post(update, `steps/${step}`, answers), UpdateStep),
    [Symbol.dispose]: () => https.close(),
  };
}

/** The update service's routes, as its OpenAPI document and the gateway's firewall know them. */

import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { Problem, PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import {
  BeginUpdate,
  ResumeUpdate,
  UPDATE_STEPS_MAX,
  UpdateAnswers,
  UpdateChallengeAnswer,
  UpdateId,
  UpdateStep,
} from "shared/protocol/wire/update.ts";

const update = z.object({ update: UpdateId });
const problems = {
  default: {
    description: "A problem; with 503 the same request again helps",
    content: { [PROBLEM_MEDIA_TYPE]: { schema: Problem } },
  },
};
const body = <T extends z.ZodType>(schema: T) => ({
  body: { required: true, content: { "application/json": { schema } } },
});
const answer = <T extends z.ZodType>(description: string, schema: T) => ({
  200: { description, content: { "application/json": { schema } } },
  ...problems,
});

/** POST /v1/updates/{update}/challenge. */
export const CHALLENGE = createRoute({
  method: "post",
  path: "/v1/updates/{update}/challenge",
  summary: "A host challenge over which the card proves itself; single use",
  request: { params: update },
  responses: answer("The challenge", UpdateChallengeAnswer),
});
/** POST /v1/updates/{update}/begin. */
export const BEGIN = createRoute({
  method: "post",
  path: "/v1/updates/{update}/begin",
  summary: "Begin an upgrade: the card's proof, the release's metadata, the package",
  request: { params: update, ...body(BeginUpdate) },
  responses: answer("The first commands for the card", UpdateStep),
});
/** POST /v1/updates/{update}/resume. */
export const RESUME = createRoute({
  method: "post",
  path: "/v1/updates/{update}/resume",
  summary: "Go on with a card in the middle of its upgrade",
  request: { params: update, ...body(ResumeUpdate) },
  responses: answer("The first commands for the card", UpdateStep),
});
/** POST /v1/updates/{update}/steps/{step}. */
export const STEP = createRoute({
  method: "post",
  path: "/v1/updates/{update}/steps/{step}",
  summary: "The card's answers; the same answers again get the same commands",
  request: {
    params: update.extend({ step: z.coerce.number().int().min(1).max(UPDATE_STEPS_MAX) }),
    ...body(UpdateAnswers),
  },
  responses: answer("The next commands", UpdateStep),
});

/** Head of the document. */
export const UPDATE_DOCUMENT_HEAD = {
  openapi: "3.1.0",
  info: {
    title: "Recovery Key update service",
    version: "1",
    description: "Updates of cards in the field. Byte strings are upper-case hex, files base64.",
  },
};

/** The OpenAPI document, made without starting the service. */
export function updateDocument(): object {
  const app = new OpenAPIHono();
  for (const route of [CHALLENGE, BEGIN, RESUME, STEP]) app.openAPIRegistry.registerPath(route);
  return app.getOpenAPI31Document(UPDATE_DOCUMENT_HEAD);
}

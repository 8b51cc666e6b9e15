/** The OpenAPI document of a provider's node, made from the schemas of the wire: what a gateway lets through to it. */

import { createRoute, OpenAPIHono, z } from "@hono/zod-openapi";
import { Problem, PROBLEM_MEDIA_TYPE } from "shared/protocol/wire/problem.ts";
import {
  ConfirmRequest,
  DeleteAnswer,
  DeleteRequest,
  DeletionRequest,
  DepositAnswer,
  DepositRequest,
  OpenSessionAnswer,
  OpenSessionRequest,
  RecoverSessionId,
  ReleaseAnswer,
  ReleaseRequest,
  SessionStateAnswer,
} from "shared/protocol/wire/recover.ts";

const Empty = z.strictObject({});
const params = z.object({ session: RecoverSessionId });
const json = <T extends z.ZodType>(schema: T) => ({ "application/json": { schema } });
const responses = (answer: z.ZodType) => ({
  200: { description: "The same bytes get the same answer", content: json(answer) },
  default: {
    description: "A problem; with 503 the same request again helps",
    content: { [PROBLEM_MEDIA_TYPE]: { schema: Problem } },
  },
});

/** Body and answer of each step of an open session. */
const STEPS: Readonly<Record<string, readonly [z.ZodType, z.ZodType]>> = {
  deposit: [DepositRequest, DepositAnswer],
  commit: [Empty, SessionStateAnswer],
  confirm: [ConfirmRequest, SessionStateAnswer],
  release: [ReleaseRequest, ReleaseAnswer],
  delete: [DeleteRequest, DeleteAnswer],
  deletion: [DeletionRequest, SessionStateAnswer],
};

/** The document. @param path what stands before `/v1`, as in the node's configuration. */
export function nodeDocument(path: string): object {
  const app = new OpenAPIHono();
  const body = (schema: z.ZodType) => ({ body: { required: true, content: json(schema) } });
  app.openAPIRegistry.registerPath(createRoute({
    method: "post",
    path: `${path}/v1/sessions`,
    summary: "Open a session",
    request: body(OpenSessionRequest),
    responses: responses(OpenSessionAnswer),
  }));
  for (const [step, [request, answer]] of Object.entries(STEPS)) {
    app.openAPIRegistry.registerPath(createRoute({
      method: "post",
      path: `${path}/v1/sessions/{session}/${step}`,
      summary: step,
      request: { params, ...body(request) },
      responses: responses(answer),
    }));
  }
  app.openAPIRegistry.registerPath(createRoute({
    method: "delete",
    path: `${path}/v1/sessions/{session}`,
    summary: "Give a session up",
    request: { params },
    responses: responses(SessionStateAnswer),
  }));
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Recover provider",
      version: "1",
      description: "One share of a seed. Byte strings are upper-case hex.",
    },
  });
}

/** The attestation service's OpenAPI document, made from its routes without starting the service. */

import { OpenAPIHono } from "@hono/zod-openapi";
import * as ROUTES from "./attestation_routes.ts";

/** Head of the document. */
export const DOCUMENT_HEAD = {
  openapi: "3.1.0",
  info: {
    title: "Recovery Key attestation service",
    version: "1",
    description: "Serials, DGI 8137 keys and card certificates. Byte strings are upper-case hex.",
  },
};

/** Adds how senders prove who they are, and the document's own path, to a document. */
export function describeSecurity(app: Pick<OpenAPIHono, "openAPIRegistry">): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "clientCertificate", { type: "mutualTLS" });
  app.openAPIRegistry.registerComponent("securitySchemes", "signature", {
    type: "apiKey",
    in: "header",
    name: "Signature",
    description:
      "RFC 9421, Ed25519, tag recovery-key, over @method, @path, content-digest (RFC 9530) and content-type",
  });
  app.openAPIRegistry.registerPath({
    method: "get",
    path: "/openapi.json",
    summary: "This document",
    responses: { 200: { description: "OpenAPI 3.1", content: { "application/json": { schema: {} } } } },
  });
}

/** The document that `GET /openapi.json` answers with. */
export function attestationDocument(): object {
  const app = new OpenAPIHono();
  for (const route of Object.values(ROUTES)) app.openAPIRegistry.registerPath(route);
  describeSecurity(app);
  return app.getOpenAPI31Document(DOCUMENT_HEAD);
}

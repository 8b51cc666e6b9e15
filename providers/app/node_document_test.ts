/** The document that gateways get names each operation of the interface, at the node's own path. */

import assert from "node:assert/strict";
import { nodeDocument } from "./node_document.ts";

Deno.test("nodeDocument() has each step of a session below the node's path, and closed bodies", () => {
  const { paths } = nodeDocument("/provider-2") as {
    paths: Record<string, Record<string, { requestBody?: { content: Record<string, { schema: object }> } }>>;
  };
  const session = "/provider-2/v1/sessions/{session}";
  assert.deepEqual(Object.keys(paths).sort(), [
    "/provider-2/v1/sessions",
    session,
    ...["commit", "confirm", "delete", "deletion", "deposit", "release"].map((step) => `${session}/${step}`),
  ]);
  for (const [path, operations] of Object.entries(paths)) {
    if (path === session) {
      assert.deepEqual(Object.keys(operations), ["delete"]);
      continue;
    }
    const { schema } = operations["post"]!.requestBody!.content["application/json"]!;
    assert.equal((schema as { additionalProperties?: boolean }).additionalProperties, false, path);
  }
});

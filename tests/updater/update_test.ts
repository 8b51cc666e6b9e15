import assert from "node:assert/strict";
import { openScene } from "./machinery/scene.ts";

Deno.test("an update from 1.0 to 1.1 keeps the seed, and the card says which package it has", async () => {
  await using scene = await openScene();
  const card = await scene.card();
  const result = await scene.update({ card });
  assert.equal(result.from, "1.0.0");
  assert.equal(result.to, "1.1.0");
  assert.equal(result.seedKept, true);
});

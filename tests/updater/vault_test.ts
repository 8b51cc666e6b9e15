/** What the update vault believes nobody for, asked of it directly: an honest wallet would never ask so. */

import assert from "node:assert/strict";
import { fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { verifyRelease } from "shared/protocol/release/metadata.ts";
import type { BeginUpdate } from "shared/protocol/wire/update.ts";
import { makeUpdateVault } from "factory/service/update/vault.ts";
import { openInProcessChannel } from "device/card/in_process_channel.ts";
import type { VirtualCard } from "device/card/virtual_card.ts";
import type { UpdateServicePort } from "device/update/ports.ts";
import { testRepository } from "./machinery/repository.ts";
import { openScene, type UpdateScene } from "./machinery/scene.ts";

/** What a wallet and the service said in an update that the card left after the first step. */
interface Overheard {
  readonly update: string;
  readonly request: BeginUpdate;
  readonly authorization: string;
}

/** Begins the update of a card, and lets nothing of it reach the card behind the handshake. */
async function overhear(scene: UpdateScene, card: VirtualCard): Promise<Overheard> {
  const real = scene.port();
  let heard: Omit<Overheard, "authorization"> | undefined;
  let authorization: string | undefined;
  const service: UpdateServicePort = {
    ...real,
    begin(update, request) {
      heard = { update, request };
      return real.begin(update, request);
    },
    async step(update, number, answers) {
      ({ authorization = undefined } = await real.step(update, number, answers) as {
        authorization?: string;
      });
      throw new CodedError("UPDATE_VAULT", "The service is away.");
    },
  };
  const journal = await scene.journalFolder();
  await assert.rejects(scene.update({ card, service, journal, more: { presentations: 1 } }));
  return { ...heard!, authorization: authorization! };
}

/** Answers of a card to commands in clear. */
async function answersOf(card: VirtualCard, commands: readonly string[]): Promise<string[]> {
  const channel = openInProcessChannel(card);
  try {
    const answers: string[] = [];
    for (const command of commands) answers.push(toHex(await channel.transmit(fromHex(command))));
    return answers;
  } finally {
    await channel.close();
  }
}

Deno.test("a challenge is used up by the first card that is shown for it, whatever comes of it", async () => {
  await using scene = await openScene();
  const real = scene.port();
  let asked = 0;
  const service: UpdateServicePort = {
    ...real,
    async begin(update, request) {
      asked++;
      const { signature } = request.card;
      const wrong = signature.slice(0, -2) + (signature.endsWith("00") ? "01" : "00");
      const forged = { ...request, card: { ...request.card, signature: wrong } };
      await assert.rejects(real.begin(update, forged), { code: "UPDATE_CARD_SIGNATURE" });
      return await real.begin(update, request);
    },
  };
  const run = { card: await scene.card(), service, journal: await scene.journalFolder() };
  await assert.rejects(scene.update({ ...run, more: { presentations: 1 } }), { code: "UPDATE_CHALLENGE" });
  assert.equal(asked, 1);
});

Deno.test("the authorization of one card opens nothing on another", async () => {
  await using scene = await openScene();
  const [first, second] = [await scene.card(), await scene.card()];
  const { request, authorization } = await overhear(scene, first);
  const vault = makeUpdateVault(scene.vaultOptions);
  const resumption = { authorization, package: request.package, recovery: null };
  const mine = await vault.resume("a 1", resumption);
  const own = await vault.step("a 1", 1, await answersOf(first, mine.commands), null);
  assert.ok(own.commands.length > 0, "its own card goes on");
  const others = await vault.resume("a 2", resumption);
  await assert.rejects(vault.step("a 2", 1, await answersOf(second, others.commands), null), {
    code: "UPDATE_CARD_OTHER",
  });
});

Deno.test("metadata that two holders can sign are refused, whoever signed them", () => {
  for (const weak of ["root", "targets", "recovery-key"] as const) {
    const repository = testRepository(weak);
    const { trustedRoot, bundle } = repository;
    assert.throws(() => verifyRelease(bundle("1.1"), trustedRoot, Date.now()), (error) => {
      assert.ok(error instanceof CodedError);
      assert.deepEqual([error.code, error.details.role], ["RELEASE_THRESHOLD", weak]);
      return true;
    });
  }
});

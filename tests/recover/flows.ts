/** Whole flows over providers and a device, as an orchestrator runs them. */

import assert from "node:assert/strict";
import type {
  DeleteAnswer,
  DepositAnswer,
  OpenSessionAnswer,
  OpenSessionRequest,
  RecoverIdentity,
  ReleaseAnswer,
} from "shared/protocol/wire/recover.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { StepOutcome } from "providers/service/provider_service.ts";
import type { VaultStep } from "providers/vault/protocol.ts";
import type { Maker, TestDevice } from "./device.ts";
import { HostSession } from "./host.ts";
import type { TestProvider } from "./provider.ts";

/** Whose backup the tests make. */
export const IDENTITY: RecoverIdentity = {
  backupName: "Savings",
  firstName: "Ada",
  lastName: "Lovelace",
  dateOfBirth: "1815-12-10",
  placeOfBirth: "London",
};

/** Takes a step, on one node and then on the other: each is answered, whichever comes next. */
export async function step<T>(
  provider: TestProvider,
  name: VaultStep,
  session: string,
  body: unknown,
): Promise<T> {
  const outcome = await provider.service.step(name, session, body);
  assert.equal(outcome.kind, "answer", JSON.stringify(outcome));
  const again = await provider.secondNode.step(name, session, body);
  assert.deepEqual(again, outcome, "the same bytes get the same answer, at the other node too");
  return (outcome as { answer: T }).answer;
}

/** Asserts that a step is refused with a code, and for a reason that is in the log only. */
export function refused(outcome: StepOutcome, code: string, reason: string): void {
  assert.equal(outcome.kind, "refuse", JSON.stringify(outcome));
  const { code: given, reasons } = outcome as Extract<StepOutcome, { kind: "refuse" }>;
  assert.equal(given, code, reasons.join());
  assert.ok((reasons as readonly string[]).includes(reason), `${reason} in ${reasons.join()}`);
}

/** A request to open a session. */
export function openRequest(
  host: HostSession,
  flow: OpenSessionRequest["flow"],
  backupId: string,
  first: boolean,
): OpenSessionRequest {
  const identity = flow === "backup" ? IDENTITY : null;
  return { session: crypto.randomUUID(), flow, backupId, identity, device: host.wire, first };
}

/** Opens a session and introduces the provider to the device. */
export async function open(
  host: HostSession,
  provider: TestProvider,
  flow: OpenSessionRequest["flow"],
  backupId: string,
  first: boolean,
): Promise<{ session: string; answer: OpenSessionAnswer; confirmation: string }> {
  const request = openRequest(host, flow, backupId, first);
  const answer = await step<OpenSessionAnswer>(provider, "open", request.session, request);
  return { session: request.session, answer, confirmation: await host.introduce(answer) };
}

/** A whole backup. */
export async function backup(
  maker: Maker,
  device: TestDevice,
  providers: readonly TestProvider[],
  backupId: string,
) {
  const host = await HostSession.open(maker, device);
  const sessions: string[] = [];
  for (const [i, provider] of providers.entries()) {
    const { session } = await open(host, provider, "backup", backupId, i === 0);
    await host.stored(await step<DepositAnswer>(provider, "deposit", session, await host.share()));
    sessions.push(session);
  }
  for (const [i, provider] of providers.entries()) await step(provider, "commit", sessions[i]!, {});
}

/** The first half of a restore: every provider is confirmed on the device, and locks the backup to it. */
export async function confirm(
  maker: Maker,
  device: TestDevice,
  providers: readonly TestProvider[],
  backupId: string,
) {
  const host = await HostSession.open(maker, device);
  for (const [i, provider] of providers.entries()) {
    const { session, answer, confirmation } = await open(host, provider, "restore", backupId, i === 0);
    assert.deepEqual(answer.identity, IDENTITY);
    await step(provider, "confirm", session, { sealedConfirmation: confirmation });
  }
}

/** A verification for an open session. */
export function verify(
  provider: TestProvider,
  answer: OpenSessionAnswer,
  device: TestDevice,
  clock: Clock,
  change?: Readonly<Record<string, unknown>>,
): Promise<string> {
  return provider.verifier.result({
    vaultKey: provider.vaultKey,
    nonce: answer.verification!.nonce,
    providerName: provider.name,
    identity: IDENTITY,
    securityCode: device.code(),
    nowSeconds: Math.floor(clock.now() / 1000),
    ...(change ? { change } : {}),
  });
}

/** The second half of a restore. */
export async function release(
  maker: Maker,
  device: TestDevice,
  providers: readonly TestProvider[],
  backupId: string,
  clock: Clock,
) {
  const host = await HostSession.open(maker, device);
  for (const [i, provider] of providers.entries()) {
    const { session, answer } = await open(host, provider, "release", backupId, i === 0);
    const sealedVerification = await verify(provider, answer, device, clock);
    await host.restore(await step<ReleaseAnswer>(provider, "release", session, { sealedVerification }));
  }
}

/** A whole deletion. */
export async function remove(
  maker: Maker,
  device: TestDevice,
  providers: readonly TestProvider[],
  backupId: string,
) {
  const host = await HostSession.open(maker, device);
  for (const [i, provider] of providers.entries()) {
    const { session } = await open(host, provider, "delete", backupId, i === 0);
    const challenge = await step<DeleteAnswer>(provider, "delete", session, { sealedVerification: null });
    await step(provider, "deletion", session, { sealedSignature: await host.sign(challenge) });
  }
}

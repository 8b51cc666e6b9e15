/**
 * The second half of the demo: a wallet's seed goes to three providers, a node is killed on the way, two new wallets get it back, a
 * third does not, and its owner has it deleted. What is told as true was looked at: in wallets, rows and logs.
 */

import { equalConstantTime } from "shared/base/bytes.ts";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { RecoverIdentity } from "shared/protocol/wire/recover.ts";
import { writePrivate } from "../paths.ts";
import { openOwn } from "../spine/recover/backends.ts";
import { COMPANION_FILE } from "../spine/recover/layout.ts";
import { isEveryUpstreamUp, waitFor } from "../spine/recover/readiness.ts";
import type { RecoverServices } from "../spine/recover/services.ts";
import { askVerifier } from "../spine/recover/verifiers.ts";
import type { Spine } from "../spine/spine.ts";
import { type AskedVerification, runCompanion } from "./companion.ts";
import type { LinesRun } from "./json_lines.ts";
import { type DemoDevice, startDevice } from "./device.ts";

/** Which of the four happened, each as it has to. */
export interface DemoRecover {
  /** Three providers took a share each, although a node died on the way. */
  readonly backup: boolean;
  /** Two new wallets hold the owner's seed. */
  readonly restore: boolean;
  /** A third one was refused because the releases are spent, and holds nothing. */
  readonly refused: boolean;
  /** No provider has a row of it any more. */
  readonly delete: boolean;
}

/** Whose backup the demo makes. */
export const DEMO_IDENTITY: RecoverIdentity = {
  backupName: "Demo",
  firstName: "Ada",
  lastName: "Lovelace",
  dateOfBirth: "10 December 1815",
  placeOfBirth: "London",
};

/** The provider whose node dies. */
const VICTIM = 2;

/** The half of a restore in which verifiers ask for the digits that the device shows. */
const VERIFIED_HALF = 2;

/** Longest wait for the gateway to see every instance, in milliseconds. */
const READY_MS = 15_000;

/** Tells and checks the story. Devices are started and stopped here; the spine is the caller's. */
export async function runRecover(
  spine: Spine,
  services: RecoverServices,
  tell: (line: string) => void,
): Promise<DemoRecover> {
  const { folder } = spine.descriptor;
  const story = new Story(spine, services, tell);
  const identity = `${folder}/wallet/identity.json`;
  await writePrivate(identity, JSON.stringify(DEMO_IDENTITY));
  const devices = await Promise.all([
    startDevice(folder, "owner", false),
    ...["new-1", "new-2", "new-3"].map((name) => startDevice(folder, name, true)),
  ]);
  const [owner, first, second, third] = devices as [DemoDevice, DemoDevice, DemoDevice, DemoDevice];
  try {
    // Gateway A may have been stopped; B has just been told of the services. A request is repeated in any case.
    const { gatewayB } = spine.descriptor.addresses;
    await waitFor(() => isEveryUpstreamUp(gatewayB.admin), READY_MS);
    const before = await story.rows();
    const backup = await story.backup(owner, identity);
    const stored = await story.rows();
    const isStored = stored.every((rows, i) => rows === before[i]! + 1);
    tell(isStored ? "stored: one row at each of the three" : "NOT STORED at all three");
    const given = [await story.restore(first, backup, true), await story.restore(second, backup, false)];
    const restored = given.every((code) => code === 0) && await holdSame(owner, [first, second]);
    tell(
      restored
        ? "both new wallets hold the owner's seed"
        : "NOT RESTORED: a new wallet does not hold the owner's seed",
    );
    const reasons = await story.refused(third, backup);
    const refused = reasons.includes("releases") && await third.entropy() === undefined &&
      (await story.rows()).every((rows, i) => rows === stored[i]);
    tell(
      refused
        ? `a third wallet is refused (${
          reasons.join(", ")
        }): two releases are what a backup has; it stays empty`
        : "THE THIRD WALLET WAS NOT REFUSED as it had to be",
    );
    const deleted = await story.delete(owner, backup) === 0 &&
      (await story.rows()).every((rows, i) => rows === before[i]);
    tell(deleted ? "deleted: signed on the owner's wallet, no row is left at any provider" : "NOT DELETED");
    return { backup: isStored, restore: restored, refused, delete: deleted };
  } finally {
    await Promise.all(devices.map((device) => device.stop()));
  }
}

async function holdSame(owner: DemoDevice, others: readonly DemoDevice[]): Promise<boolean> {
  const seed = await owner.entropy();
  const held = await Promise.all(others.map((device) => device.entropy()));
  return seed !== undefined &&
    held.every((entropy) => entropy !== undefined && equalConstantTime(entropy, seed));
}

/** The spine as the story uses it. */
class Story {
  readonly #spine: Spine;
  readonly #services: RecoverServices;
  readonly #tell: (line: string) => void;

  constructor(spine: Spine, services: RecoverServices, tell: (line: string) => void) {
    this.#spine = spine;
    this.#services = services;
    this.#tell = tell;
  }

  get #folder(): string {
    return this.#spine.descriptor.folder;
  }

  /** Rows of backups at each provider, as its own database counts them. */
  rows(): Promise<number[]> {
    return Promise.all(this.#services.providers.map(async ({ database }) => {
      const opened = openOwn(database, "demo");
      try {
        const [row] = await opened.sql<{ rows: number }[]>`SELECT count(*)::int AS rows FROM backups`;
        return row!.rows;
      } finally {
        await opened.close();
      }
    }));
  }

  /** Backs the owner's seed up; a node and its vault are killed when its provider is about to get its share. @returns its number. */
  async backup(owner: DemoDevice, identity: string): Promise<string> {
    this.#tell("a wallet gives its seed of 24 words to three providers, through the gateways");
    const victim = `provider-${VICTIM}-a`;
    let isDead = false;
    const run = await this.#run("backup", owner, { identity }, async (phase, provider) => {
      if (phase === "proving") this.#tell(`${provider} has a share, and proves it to the wallet`);
      if (isDead || phase !== "sharing" || provider !== this.#name(VICTIM)) return;
      isDead = true;
      await Promise.all([victim, `${victim}-vault`].map((name) => this.#spine.children.get(name)!.kill()));
      this.#tell(`${provider}: node A and its vault are killed; node B goes on with the same session`);
    });
    const { backupId } = run.last;
    if (run.code !== 0 || typeof backupId !== "string") throw ended("backup", run);
    await Promise.all([`${victim}-vault`, victim].map((name) => this.#spine.restart(name)));
    return backupId;
  }

  /** Gives the seed to a new wallet. @returns exit code of the command. */
  async restore(device: DemoDevice, backup: string, isTold: boolean): Promise<number> {
    this.#tell(
      isTold ? "a new wallet asks for the seed back" : "a second new wallet asks, with two checks of its own",
    );
    const run = await this.#run("restore", device, { backup }, (phase, provider) => {
      if (isTold && phase === "restoring") {
        this.#tell(`${provider} releases its share, sealed to this wallet`);
      }
    }, isTold);
    return this.#codeOf("restore", run);
  }

  /** Tries to restore once more. @returns the reasons that the provider's own log has. */
  async refused(device: DemoDevice, backup: string): Promise<string[]> {
    const log = `${this.#folder}/logs/provider-1-`;
    const logs = () => Promise.all(["a", "b"].map((each) => Deno.readTextFile(`${log}${each}.log`)));
    const before = await logs();
    const { code, last, errors } = await this.#run("restore", device, { backup });
    const error = last["error"] as { code: string } | undefined;
    if (code === 0 || error?.code !== "ORCHESTRATOR_PROVIDER_REFUSED") {
      this.#tell(`restore ended with exit code ${code}: ${errors.trimEnd()}`);
      return [];
    }
    const added = (await logs()).flatMap((text, i) => text.slice(before[i]!.length).split("\n"));
    return added.filter((line) => line.includes("step.refused")).flatMap(reasonsOf);
  }

  /** Has the backup deleted. @returns exit code of the command. */
  async delete(owner: DemoDevice, backup: string): Promise<number> {
    return this.#codeOf("delete", await this.#run("delete", owner, { backup }));
  }

  /** Tells what a command said that should have gone well. */
  #codeOf(verb: string, { code, errors }: LinesRun): number {
    if (code !== 0) this.#tell(`${verb} ended with exit code ${code}: ${errors.trimEnd()}`);
    return code;
  }

  #name(index: number): string {
    return `Backup ${index}`;
  }

  #run(
    verb: "backup" | "restore" | "delete",
    device: DemoDevice,
    options: { identity?: string; backup?: string },
    onStep: (phase: string, provider: string | null) => Promise<void> | void = () => {},
    isTold = false,
  ): Promise<LinesRun> {
    device.begin();
    return runCompanion(
      verb,
      { config: `${this.#folder}/${COMPANION_FILE}`, device: device.address, ...options },
      {
        verify: (asked) => {
          if (isTold) this.#tell(`${asked.provider}: its own verifier checks the owner's identity`);
          return this.#verify(asked, device);
        },
        onStep: ({ phase, provider }) => onStep(phase, provider),
      },
    );
  }

  async #verify(
    { provider, nonce, securityCode }: AskedVerification,
    device: DemoDevice,
  ): Promise<string> {
    const { verifier } = this.#services.providers.find(({ index }) => this.#name(index) === provider)!;
    return await askVerifier(verifier, {
      nonce,
      identity: DEMO_IDENTITY,
      ...(securityCode ? { securityCode: await device.code(VERIFIED_HALF) } : {}),
    });
  }
}

function reasonsOf(line: string): string[] {
  const { reasons } = JSON.parse(line) as { reasons?: string[] };
  return reasons ?? [];
}

function ended(verb: string, { code, errors }: LinesRun): CodedError {
  return new CodedError(
    "DEMO_RECOVER",
    `Cannot go on: ${verb} ended with exit code ${code}\n${errors.trimEnd()}`,
  );
}

defineErrors({
  DEMO_RECOVER: { fault: "service", retry: true, next: "The logs in the spine's folder tell more." },
});

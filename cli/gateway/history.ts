/**
 * Configurations that a gateway took, kept in its state folder: which, when, by whom and how. Only the one file is kept, not
 * what it names: keys are never copied, and a revocation list never goes back.
 */

import { createHash } from "node:crypto";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import { writePrivate } from "../paths.ts";

/** Configurations that are kept; older ones are deleted. */
export const KEPT_GENERATIONS = 20;

/** How a configuration came to be taken. */
export type ChangeKind = "start" | "reload" | "upgrade" | "rollback";

/** One taken configuration. */
export interface Generation {
  /** 1, 2, 3 and so on; never used again. */
  readonly generation: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Who asked, as they called themselves; `signal` when it was a signal. */
  readonly by: string;
  readonly how: ChangeKind;
  /** SHA-256 of the file, lower-case hexadecimal. */
  readonly sha256: string;
  /** The generation whose text this is, after a rollback. */
  readonly restores?: number;
}

/** The history of one gateway. */
export class History {
  readonly #folder: string;

  /** @param state Folder of the gateway's state. */
  constructor(state: string) {
    this.#folder = `${state}/generations`;
  }

  #file(generation: number, kind: "yaml" | "json"): string {
    return `${this.#folder}/${String(generation).padStart(6, "0")}.${kind}`;
  }

  /** What is kept, oldest first. */
  async list(): Promise<Generation[]> {
    const found: Generation[] = [];
    try {
      for await (const { name } of Deno.readDir(this.#folder)) {
        if (/^\d{6,}\.json$/.test(name)) {
          found.push(JSON.parse(await Deno.readTextFile(`${this.#folder}/${name}`)));
        }
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    return found.sort((a, b) => a.generation - b.generation);
  }

  /** Keeps a configuration that was taken. A restart with an unchanged file is no new generation. */
  async record(text: string, change: Pick<Generation, "by" | "how" | "restores">): Promise<Generation> {
    const sha256 = createHash("sha256").update(text).digest("hex");
    const before = await this.list();
    const last = before.at(-1);
    if (change.how === "start" && last?.sha256 === sha256) return last;
    const next: Generation = {
      generation: (last?.generation ?? 0) + 1,
      at: new Date().toISOString(),
      sha256,
      ...change,
    };
    await Deno.mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await writePrivate(this.#file(next.generation, "yaml"), text);
    // The description comes last: without it there is no generation.
    await writePrivate(this.#file(next.generation, "json"), JSON.stringify(next));
    for (const { generation } of before.slice(0, Math.max(0, before.length + 1 - KEPT_GENERATIONS))) {
      await Deno.remove(this.#file(generation, "json"));
      await Deno.remove(this.#file(generation, "yaml"));
    }
    return next;
  }

  /** The text of a generation. @throws {CodedError} `GATEWAY_GENERATION`, also when it is not what was taken then. */
  async text(generation: number): Promise<string> {
    const known = (await this.list()).find((each) => each.generation === generation);
    const text = known && await Deno.readTextFile(this.#file(generation, "yaml")).catch(() => undefined);
    if (text === undefined || createHash("sha256").update(text).digest("hex") !== known!.sha256) {
      throw new CodedError(
        "GATEWAY_GENERATION",
        `Cannot go back to generation ${generation}: it is not kept`,
      );
    }
    return text;
  }

  /** The generation to which a rollback without a number goes. @throws {CodedError} `GATEWAY_GENERATION`. */
  async previous(): Promise<number> {
    const target = previousOf(await this.list());
    if (target === undefined) {
      throw new CodedError("GATEWAY_GENERATION", "Cannot go back: no earlier configuration is kept");
    }
    return target;
  }
}

/** The newest generation with another text before the one that counts; a rollback after a rollback goes further back. */
export function previousOf(generations: readonly Generation[]): number | undefined {
  const last = generations.at(-1);
  if (last === undefined) return undefined;
  const from = last.restores ?? last.generation;
  return generations.findLast(({ generation, sha256 }) => generation < from && sha256 !== last.sha256)
    ?.generation;
}

defineErrors({
  GATEWAY_GENERATION: {
    fault: "usage",
    retry: false,
    next: "`rk gateway history --config FILE` lists what is kept.",
  },
});

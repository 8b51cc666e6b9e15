/** The vault as its node sees it: requests over named pipes, each with a deadline and a bound. */

import type { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import { PipeCaller } from "shared/service/pipe_calls.ts";
import {
  type DescribeAnswer,
  type LocateAnswer,
  type LocateRequest,
  type StepAnswer,
  type StepRequest,
  VAULT_FRAME_MAX,
  type VaultPort,
  type VaultRequest,
} from "./protocol.ts";
import "../provider_errors.ts";

/** How a node reaches its vault. */
export interface VaultClientOptions {
  /** Folder of the pipes. */
  readonly pipes: string;
  /** For each request, in milliseconds. */
  readonly deadlineMs: number;
}

/** The client. It connects when it is needed, and again when the vault was started again. */
export class VaultClient implements VaultPort {
  readonly #caller: PipeCaller;

  constructor({ pipes, deadlineMs }: VaultClientOptions) {
    this.#caller = new PipeCaller(pipes, deadlineMs, VAULT_FRAME_MAX);
  }

  async locate(about: z.infer<typeof LocateRequest>["about"]): Promise<LocateAnswer> {
    return await this.#ask({ operation: "locate", about }) as LocateAnswer;
  }

  async step(request: Omit<StepRequest, "operation">): Promise<StepAnswer> {
    return await this.#ask({ operation: "step", ...request }) as StepAnswer;
  }

  async describe(): Promise<DescribeAnswer> {
    return await this.#ask({ operation: "describe" }) as DescribeAnswer;
  }

  /** Refuses further requests. */
  close(): void {
    this.#caller.close();
  }

  async #ask(request: VaultRequest): Promise<unknown> {
    try {
      return await this.#caller.call(request);
    } catch (error) {
      if (!(error instanceof CodedError) || error.code !== "CALL_GONE") throw error;
      throw new CodedError("PROVIDER_VAULT", error.message, {}, error);
    }
  }
}

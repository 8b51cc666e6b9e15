/** The update vault over pipes: what goes across, checked on arrival. */

import { z } from "zod";
import { CodedError } from "shared/base/errors.ts";
import type { PipeCaller } from "shared/service/pipe_calls.ts";
import {
  BeginUpdate,
  ResumeUpdate,
  UPDATE_STEPS_MAX,
  UpdateAnswers,
  type UpdateChallengeAnswer,
} from "shared/protocol/wire/update.ts";
import type { UpdateVault, VaultStep } from "./vault_port.ts";
import "shared/protocol/wire/update_errors.ts";

/** Client and number of an update. */
const Key = z.string().min(1).max(512);

/** A call. */
export const VaultCall = z.discriminatedUnion("operation", [
  z.strictObject({ operation: z.literal("challenge"), update: Key }),
  z.strictObject({
    operation: z.literal("begin"),
    update: Key,
    request: BeginUpdate,
    revocations: z.string(),
  }),
  z.strictObject({ operation: z.literal("resume"), update: Key, request: ResumeUpdate }),
  z.strictObject({
    operation: z.literal("step"),
    update: Key,
    step: z.int().min(1).max(UPDATE_STEPS_MAX),
    answers: UpdateAnswers.shape.answers,
    authorization: z.string().max(8192).nullable(),
  }),
  z.strictObject({ operation: z.literal("describe") }),
]);

/** Does what a call asks for. @throws {CodedError} `UPDATE_MALFORMED`, and those of the vault. */
export async function performVaultCall(vault: UpdateVault, call: unknown): Promise<unknown> {
  const parsed = VaultCall.safeParse(call);
  if (!parsed.success) {
    throw new CodedError("UPDATE_MALFORMED", "Cannot do what is asked: there is no such call");
  }
  const { data } = parsed;
  switch (data.operation) {
    case "challenge":
      return await vault.challenge(data.update);
    case "begin":
      return await vault.begin(data.update, data.request, data.revocations);
    case "resume":
      return await vault.resume(data.update, data.request);
    case "step":
      return await vault.step(data.update, data.step, data.answers, data.authorization);
    case "describe":
      return await vault.describe();
  }
}

/** The vault behind the pipes. */
export function vaultBehind(caller: PipeCaller): UpdateVault {
  const call = async <T>(request: z.infer<typeof VaultCall>): Promise<T> => {
    try {
      return await caller.call(request) as T;
    } catch (error) {
      const { code } = error as Partial<CodedError>;
      if (code !== "CALL_GONE" && code !== "CALL_FRAME") throw error;
      throw new CodedError("UPDATE_VAULT", "Cannot update card: the vault does not answer", {}, error);
    }
  };
  return {
    challenge: (update) => call<UpdateChallengeAnswer>({ operation: "challenge", update }),
    begin: (update, request, revocations) =>
      call<VaultStep>({ operation: "begin", update, request, revocations }),
    resume: (update, request) => call<VaultStep>({ operation: "resume", update, request }),
    step: (update, step, answers, authorization) =>
      call<VaultStep>({ operation: "step", update, step, answers: [...answers], authorization }),
    describe: () => call({ operation: "describe" }),
    // The vault does it by itself.
    sweep: () => {},
  };
}

/** Carries the steps of one upgrade between service and card. What is not allowed does not reach the card. */

import { toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { encodeResponse } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import {
  UPDATE_STEPS_MAX,
  type UpdateEnd,
  type UpdatePhase,
  type UpdateStep,
} from "shared/protocol/wire/update.ts";
import { type Allowance, requireAllowed } from "./allowed_commands.ts";
import type { Transmit } from "shared/protocol/scp03/secure_channel.ts";
import type { UpdateServicePort } from "./ports.ts";
import "./errors.ts";

/** What a relay needs. */
export interface RelayOptions {
  readonly service: UpdateServicePort;
  readonly update: string;
  readonly transmit: Transmit;
  readonly allowance: Allowance;
  /** Puts the service's word on the disk, before the next command goes to the card. */
  readonly keep: (authorization: string) => void;
  readonly onPhase: (phase: UpdatePhase) => void;
}

/** Relays from the first step to the end. @throws {CodedError} `WALLET_UPDATE_COMMAND`, `WALLET_UPDATE_PROTOCOL`; of card and service. */
export async function relay(options: RelayOptions, first: UpdateStep): Promise<UpdateEnd> {
  const { service, update, transmit, allowance, keep, onPhase } = options;
  let step = first;
  for (let number = 0; number < UPDATE_STEPS_MAX; number++) {
    if (step.update !== update || step.step !== number) {
      throw new CodedError(
        "WALLET_UPDATE_PROTOCOL",
        `Cannot go on: the service gave step ${step.step}, not ${number}`,
      );
    }
    if (step.authorization !== null) keep(step.authorization);
    onPhase(step.phase);
    if (step.end !== null) return step.end;
    const commands = requireAllowed(allowance, number, step.commands);
    if (commands.length === 0) {
      throw new CodedError("WALLET_UPDATE_PROTOCOL", "Cannot go on: a step without commands");
    }
    const answers: string[] = [];
    for (const command of commands) {
      const answer = await transmit(command);
      answers.push(toHex(encodeResponse(answer)));
      if (answer.sw !== SW.OK) break;
    }
    step = await service.step(update, number + 1, { answers });
  }
  throw new CodedError("WALLET_UPDATE_PROTOCOL", "Cannot go on: the update has too many steps");
}

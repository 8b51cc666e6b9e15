/** The update vault as its service sees it, in this process or in another. Failures are `CodedError`s. */

import type {
  BeginUpdate,
  ResumeUpdate,
  UpdateChallengeAnswer,
  UpdateStep,
} from "shared/protocol/wire/update.ts";

/** A card that has answered INITIALIZE UPDATE, and the proof that it holds the keys is in the step. */
export interface AuthorizedCard {
  /** 4 bytes, hex. */
  readonly serial: string;
  /** 10 bytes, hex. */
  readonly keyDiversificationData: string;
  /** Version that it is updated to. */
  readonly version: string;
}

/** A step as the vault gives it. */
export interface VaultStep extends UpdateStep {
  /** Once, in the step that opens the channel. To be stored with `authorization` before anything is told to anybody. */
  readonly card: AuthorizedCard | null;
  /** Key diversification data (hex) whose authorization is needed: the same step again, with it. Nothing was done. */
  readonly wants: string | null;
}

/** The port. */
export interface UpdateVault {
  /** A host challenge of this update; the same one until it is used or too old. */
  challenge(update: string): Promise<UpdateChallengeAnswer>;
  /** @param revocations the issuer's signed list of revoked cards. */
  begin(update: string, request: BeginUpdate, revocations: string): Promise<VaultStep>;
  resume(update: string, request: ResumeUpdate): Promise<VaultStep>;
  /** @param authorization sealed, where the step before wanted one. */
  step(
    update: string,
    step: number,
    answers: readonly string[],
    authorization: string | null,
  ): Promise<VaultStep>;
  describe(): Promise<{ readonly sessions: number; readonly challenges: number }>;
  /** Forgets what is too old. */
  sweep(): void;
}

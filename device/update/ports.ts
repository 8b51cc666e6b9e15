/** What the updater needs of others: releases, and the service that wraps commands. */

import type { ReleaseBundle, VerifiedRelease } from "shared/protocol/release/metadata.ts";
import type { CardFacts } from "shared/protocol/release/target.ts";
import type { UpgradePackage } from "shared/protocol/gp/upgrade_commands.ts";
import type {
  BeginUpdate,
  ResumeUpdate,
  UpdateAnswers,
  UpdateChallengeAnswer,
  UpdateStep,
} from "shared/protocol/wire/update.ts";

/** A release whose metadata this wallet verified by itself. */
export interface FoundRelease {
  readonly bundle: ReleaseBundle;
  readonly verified: VerifiedRelease;
  /** Bytes of the package file, of the hash that the metadata say. @throws {CodedError} `WALLET_UPDATE_PACKAGE`. */
  fetch(): Promise<Uint8Array>;
}

/** Where releases come from. Every release that it gives was verified, and stands in the log of releases. */
export interface ReleasePort {
  /** The newest release that a card is offered; when none is, the newest; undefined: its product has none. */
  choose(card: CardFacts): Promise<FoundRelease | undefined>;
  /** The newest release of a product; undefined: there is none. */
  newest(product: string): Promise<FoundRelease | undefined>;
  /** One version of it. */
  find(product: string, version: string): Promise<FoundRelease | undefined>;
}

/** The update service. Each request may be sent again. */
export interface UpdateServicePort {
  challenge(update: string): Promise<UpdateChallengeAnswer>;
  begin(update: string, request: BeginUpdate): Promise<UpdateStep>;
  resume(update: string, request: ResumeUpdate): Promise<UpdateStep>;
  step(update: string, step: number, answers: UpdateAnswers): Promise<UpdateStep>;
}

/** Reads a package file and checks the release key's signatures. @throws {CodedError} `WALLET_UPDATE_PACKAGE`. */
export type PackageReader = (file: Uint8Array) => UpgradePackage;

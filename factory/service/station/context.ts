/** What the work on every card of a station shares. */

import type { HostIdentity } from "shared/protocol/recovery_key/mutual_authentication.ts";
import type { EventLog } from "shared/log/writer/event_log.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import type { LineLimits } from "../../domain/judgement/line.ts";
import type { LoadPlan } from "../../domain/package/load_plan.ts";
import type { BatchFile } from "../../domain/profile_batch.ts";
import type { AttestationPort } from "./attestation_client.ts";
import type { Journal } from "../../transport/journal/port.ts";
import type { ChipLocks } from "./chip_locks.ts";
import type { EventSink } from "./events.ts";

/** The context of a run. */
export interface StationContext {
  readonly batch: BatchFile;
  /** The package that was found fit to load, when the profile loads one. */
  readonly loadPlan: LoadPlan | undefined;
  /** SHA-256 (hex) of the package's file, for the record. */
  readonly packageSha256: string | null;
  readonly attestation: AttestationPort;
  readonly journal: Journal;
  /** The station's test wallet. */
  readonly host: HostIdentity;
  readonly chips: ChipLocks;
  readonly operator: string;
  /** When a reader, or the station, stops by itself. */
  readonly limits: LineLimits;
  /** A human said that cards whose authentication failed may be tried once more. */
  readonly retryAuthentication: boolean;
  /** How long a card waits on its reader for a service that is gone or busy, in milliseconds; 0: not at all. */
  readonly patienceMilliseconds: number;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly emit: EventSink;
  /** The tamper-evident log: no card is changed without its entry. */
  readonly events: EventLog;
  /** Aborted when the station is asked to stop at once. */
  readonly stop: AbortSignal;
}

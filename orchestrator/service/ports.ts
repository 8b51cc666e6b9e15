/** What the orchestrator's service works with. */

import type { Logger } from "shared/base/log.ts";
import type {
  ConfirmRequest,
  DeleteAnswer,
  DeleteRequest,
  DeletionRequest,
  DepositAnswer,
  DepositRequest,
  OpenSessionAnswer,
  OpenSessionRequest,
  ReleaseAnswer,
  ReleaseRequest,
  SessionStateAnswer,
} from "shared/protocol/wire/recover.ts";
import type { Clock } from "shared/transport/clock.ts";
import type { RandomSource } from "shared/transport/random.ts";
import type { Scene } from "../domain/steps.ts";
import type { SessionStore } from "../transport/session_store/port.ts";

/**
 * One backup provider. Every request may be repeated: the same bytes get the same answer. @throws {CodedError}
 * `ORCHESTRATOR_PROVIDERS_AWAY` when it may answer later, `ORCHESTRATOR_PROVIDER_REFUSED` when it will not.
 */
export interface ProviderPort {
  open(request: OpenSessionRequest): Promise<OpenSessionAnswer>;
  deposit(session: string, request: DepositRequest): Promise<DepositAnswer>;
  commit(session: string): Promise<SessionStateAnswer>;
  abandon(session: string): Promise<SessionStateAnswer>;
  confirm(session: string, request: ConfirmRequest): Promise<SessionStateAnswer>;
  release(session: string, request: ReleaseRequest): Promise<ReleaseAnswer>;
  delete(session: string, request: DeleteRequest): Promise<DeleteAnswer>;
  deletion(session: string, request: DeletionRequest): Promise<SessionStateAnswer>;
}

/** Everything the service needs. */
export interface OrchestratorContext {
  readonly scene: Scene;
  readonly store: SessionStore;
  /** In order of index. */
  readonly providers: readonly ProviderPort[];
  /** ECDSA by the orchestrator's static key, inside the HSM. */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly log: Logger;
  /** In milliseconds. */
  readonly times: {
    /** A session that no companion has answered for this long is given up. */
    readonly sessionMs: number;
    /** A session that is to be carried through is taken up by the sweep when nobody has worked on it for this long. */
    readonly carryThroughMs: number;
  };
}

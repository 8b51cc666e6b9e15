/** A backup provider as the orchestrator sees it: HTTPS with a client certificate, through the gateway in front of it. */

import type { z } from "zod";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import {
  type ConfirmRequest,
  DeleteAnswer,
  type DeleteRequest,
  type DeletionRequest,
  DepositAnswer,
  type DepositRequest,
  OpenSessionAnswer,
  type OpenSessionRequest,
  ReleaseAnswer,
  type ReleaseRequest,
  SessionStateAnswer,
} from "shared/protocol/wire/recover.ts";
import { JsonOverHttps, type JsonOverHttpsOptions, type JsonRequest } from "shared/service/https_json.ts";

/** First status of answers that may be others later. */
const SERVER_FAULT = 500;
const TOO_MANY = 429;

/** The client. Every request may be repeated: a session's identifier and the operation name it. */
export class ProviderClient {
  readonly #name: string;
  readonly #http: JsonOverHttps;

  /** @param name of the provider, for messages. */
  constructor(name: string, options: Omit<JsonOverHttpsOptions, "what">) {
    this.#name = name;
    this.#http = new JsonOverHttps({ ...options, what: `provider ${name}` });
  }

  /** POST /v1/sessions. */
  open(request: OpenSessionRequest): Promise<OpenSessionAnswer> {
    return this.#call("POST", request.session, "", request, OpenSessionAnswer);
  }
  /** POST /v1/sessions/{session}/deposit. */
  deposit(session: string, request: DepositRequest): Promise<DepositAnswer> {
    return this.#call("POST", session, "deposit", request, DepositAnswer);
  }
  /** POST /v1/sessions/{session}/commit. */
  commit(session: string): Promise<SessionStateAnswer> {
    return this.#call("POST", session, "commit", {}, SessionStateAnswer);
  }
  /** DELETE /v1/sessions/{session}. */
  abandon(session: string): Promise<SessionStateAnswer> {
    return this.#call("DELETE", session, "", undefined, SessionStateAnswer);
  }
  /** POST /v1/sessions/{session}/confirm. */
  confirm(session: string, request: ConfirmRequest): Promise<SessionStateAnswer> {
    return this.#call("POST", session, "confirm", request, SessionStateAnswer);
  }
  /** POST /v1/sessions/{session}/release. */
  release(session: string, request: ReleaseRequest): Promise<ReleaseAnswer> {
    return this.#call("POST", session, "release", request, ReleaseAnswer);
  }
  /** POST /v1/sessions/{session}/delete. */
  delete(session: string, request: DeleteRequest): Promise<DeleteAnswer> {
    return this.#call("POST", session, "delete", request, DeleteAnswer);
  }
  /** POST /v1/sessions/{session}/deletion. */
  deletion(session: string, request: DeletionRequest): Promise<SessionStateAnswer> {
    return this.#call("POST", session, "deletion", request, SessionStateAnswer);
  }
  /** Closes the connections. */
  close(): void {
    this.#http.close();
  }

  /** @throws {CodedError} `ORCHESTRATOR_PROVIDERS_AWAY`, `ORCHESTRATOR_PROVIDER_REFUSED`. */
  async #call<T>(
    method: JsonRequest["method"],
    session: string,
    operation: string,
    body: unknown,
    schema: z.ZodType<T>,
  ): Promise<T> {
    const path = method === "POST" && operation === ""
      ? "/v1/sessions"
      : `/v1/sessions/${session}${operation && `/${operation}`}`;
    try {
      return await this.#http.call({
        method,
        path,
        idempotencyKey: `${session}-${operation || "open"}`,
        ...(body === undefined ? {} : { body }),
      }, schema);
    } catch (error) {
      if (!(error instanceof CodedError)) throw error;
      const status = Number(error.details.status ?? SERVER_FAULT);
      const refused = error.details.fromService === true && status < SERVER_FAULT && status !== TOO_MANY;
      throw new CodedError(
        refused ? "ORCHESTRATOR_PROVIDER_REFUSED" : "ORCHESTRATOR_PROVIDERS_AWAY",
        refused
          ? `Cannot go on: ${this.#name} refuses with ${error.code}: ${error.message}`
          : `Cannot go on: ${this.#name} does not answer (${error.code})`,
        { provider: this.#name, code: error.code, status, ...pick(error, "next") },
        error,
      );
    }
  }
}

function pick({ details }: CodedError, name: string): Record<string, unknown> {
  return name in details ? { [name]: details[name] } : {};
}

defineErrors({
  ORCHESTRATOR_PROVIDERS_AWAY: {
    fault: "service",
    retry: true,
    http: 503,
    next: "A backup provider does not answer: send the same request again.",
  },
  ORCHESTRATOR_PROVIDER_REFUSED: {
    fault: "peer",
    retry: false,
    http: 422,
    next: "A backup provider refuses; its code says why. What was begun at the others is taken back.",
  },
});

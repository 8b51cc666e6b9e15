/** One upstream instance as the rest of the gateway sees it; http1/upstream.ts makes it. */

import type { IncomingMessage } from "node:http";
import type { Cancel } from "./cancellation.ts";

/** Key material for mutual TLS, PEM. */
export interface UpstreamTls {
  readonly authorities: readonly string[];
  readonly certificate: string;
  readonly key: string;
  /** Decides on the server's certificate (DER), instead of on its DNS name. */
  readonly acceptsServer: (certificate: Uint8Array) => boolean;
}

/** How to reach an instance. */
export interface UpstreamOptions {
  /** `https://host:port` or `http://host:port`. */
  readonly url: URL;
  /** Undefined for plain HTTP. */
  readonly tls: UpstreamTls | undefined;
  readonly maxSockets: number;
  readonly connectTimeoutMs: number;
  /** Idle connections are closed after this; keep it below the upstream's own keep-alive timeout. */
  readonly idleTimeoutMs: number;
  /** Told of the bytes of each request that is sent, before encryption. */
  readonly onSent?: (bytes: number) => void;
}

/** A request to send. */
export interface UpstreamRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: Record<string, string | string[]>;
  readonly body: Uint8Array | undefined;
  /** Aborts the request: deadline, or the client is gone. */
  readonly signal: Cancel;
  /** An answer of a declared length up to this many bytes is read whole; 0 when absent. */
  readonly wholeBytes?: number;
}

/** The fate of a request. `sent`: whether any of it may have reached the instance. */
export type UpstreamAnswer =
  | { readonly kind: "answer"; readonly status: number; readonly message: IncomingMessage }
  /** Only where `wholeBytes` asks for it. */
  | {
    readonly kind: "whole";
    readonly status: number;
    readonly rawHeaders: readonly string[];
    readonly body: Uint8Array;
  }
  | { readonly kind: "failed"; readonly sent: boolean; readonly code: string };

/** An instance. */
export interface UpstreamClient {
  readonly url: URL;
  /** Host and port, as Host names it. */
  readonly host: string;
  send(request: UpstreamRequest): Promise<UpstreamAnswer>;
  close(): void;
}

/** Code of a failure whose server certificate does not name the expected identity. */
export const SERVER_IDENTITY_CODE = "UPSTREAM_IDENTITY";

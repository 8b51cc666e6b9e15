/** The files of a service's listener and of its trust, read at start and again when they change. */

import { codeOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { readText } from "../base/text_file.ts";
import { readTrust, type Trust } from "../protocol/x509/trust.ts";
import type { ListenerKeys } from "../transport/mtls_listener.ts";

/** How often files are looked at, in milliseconds. */
export const RELOAD_MS = 30_000;

/** An authority as configurations name it. */
export interface AuthorityFiles {
  readonly authority: string;
  readonly revocationList?: string | undefined;
  /** What to do when the revocation list is missing or past its nextUpdate. */
  readonly whenStale: "refuse" | "accept";
}

/** The section of a configuration: gateways connect, and pass on certificates of the other authority, `N`. */
export type TlsSection<N extends string> =
  & { readonly certificate: string; readonly key: string }
  & Readonly<Record<"gateways" | N, AuthorityFiles>>;

/** What the files say. */
export interface TlsFiles<N extends string> {
  readonly keys: ListenerKeys;
  readonly trust: Readonly<Record<"gateways" | N, Trust>>;
  /** Changes when any file's content does. */
  readonly version: string;
}

/** Reads every file. @param other name of the other authority. @throws {CodedError} `SERVICE_FILE`, or one of x509/trust.ts. */
export async function readTlsFiles<N extends string>(tls: TlsSection<N>, other: N): Promise<TlsFiles<N>> {
  const authority = async ({ authority, revocationList, whenStale }: AuthorityFiles) => ({
    certificates: { name: authority, pem: await readText(authority) },
    ...(revocationList === undefined
      ? {}
      : { revocationList: { name: revocationList, pem: await readText(revocationList) } }),
    whenStale,
  });
  const section: Readonly<Record<string, AuthorityFiles>> = tls;
  const [certificate, key, gateways, others] = await Promise.all([
    readText(tls.certificate),
    readText(tls.key),
    authority(section["gateways"]!),
    authority(section[other]!),
  ]);
  const text = JSON.stringify([certificate, key, gateways, others]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const trust = { gateways: await readTrust([gateways]), [other]: await readTrust([others]) };
  return {
    keys: { certificate, key, authority: gateways.certificates.pem },
    trust: trust as Record<"gateways" | N, Trust>,
    version: new Uint8Array(digest).toHex(),
  };
}

/** What follows from files that changed. */
export interface TlsWatch<N extends string> {
  readonly log: Logger;
  changed(files: TlsFiles<N>): Promise<void> | void;
  /** Told of files that cannot be used. */
  failed?(error: unknown): void;
  /** Default {@link RELOAD_MS}. */
  readonly everyMs?: number;
}

/**
 * Looks at the files now and then and hands over what changed. A file that cannot be used leaves everything
 * as it was, with a warning: a revocation list that gets too old then refuses by itself.
 */
export function watchTlsFiles<N extends string>(
  tls: TlsSection<N>,
  other: N,
  first: TlsFiles<N>,
  { log, changed, failed = () => {}, everyMs = RELOAD_MS }: TlsWatch<N>,
): { stop(): void } {
  let { version } = first;
  let busy = false;
  const timer = setInterval(async () => {
    if (busy) return;
    busy = true;
    try {
      const files = await readTlsFiles(tls, other);
      if (files.version === version) return;
      await changed(files);
      version = files.version;
      log.info("tls.reloaded");
    } catch (error) {
      log.warning("tls.reload-failed", { code: codeOf(error), error });
      failed(error);
    } finally {
      busy = false;
    }
  }, everyMs);
  return { stop: () => clearInterval(timer) };
}

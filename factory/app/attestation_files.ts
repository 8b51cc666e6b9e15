/** The files of the listener and of trust, read at start and again when they change. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { Logger } from "shared/base/log.ts";
import { readTrust } from "shared/protocol/x509/trust.ts";
import type { AttestationConfig } from "./attestation_config.ts";
import type { IdentityTrust } from "./attestation_identity.ts";
import type { ListenerKeys } from "./attestation_listener.ts";

defineErrors({
  ATTEST_FILE: {
    fault: "configuration",
    retry: false,
    next: "Give the path of a readable file, within the process's read permission.",
  },
});

/** How often files are looked at. */
export const RELOAD_MS = 30_000;

/** What the files say. */
export interface TlsFiles {
  readonly keys: ListenerKeys;
  readonly trust: IdentityTrust;
  /** Changes when any file's content does. */
  readonly version: string;
}

/** Reads every TLS file. @throws {CodedError} `ATTEST_FILE`, or one of x509/trust.ts. */
export async function readTlsFiles(tls: AttestationConfig["tls"]): Promise<TlsFiles> {
  const [certificate, key, gateways, senders] = await Promise.all([
    readText(tls.certificate),
    readText(tls.key),
    readAuthority(tls.gateways),
    readAuthority(tls.senders),
  ]);
  const text = JSON.stringify([certificate, key, gateways, senders]);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return {
    keys: { certificate, key, authority: gateways.certificates.pem },
    trust: { gateways: await readTrust([gateways]), senders: await readTrust([senders]) },
    version: new Uint8Array(digest).toHex(),
  };
}

async function readText(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    throw new CodedError("ATTEST_FILE", `Cannot read ${path}: it is missing or closed to us`, {}, error);
  }
}

async function readAuthority(entry: AttestationConfig["tls"]["gateways"]) {
  const { authority, revocationList, whenStale } = entry;
  return {
    certificates: { name: authority, pem: await readText(authority) },
    ...(revocationList === undefined
      ? {}
      : { revocationList: { name: revocationList, pem: await readText(revocationList) } }),
    whenStale,
  };
}

/**
 * Looks at the files now and then and hands over what changed. A file that cannot be used leaves everything
 * as it was, with a warning: a revocation list that gets too old then refuses by itself.
 */
export function watchTlsFiles(
  tls: AttestationConfig["tls"],
  first: TlsFiles,
  log: Logger,
  changed: (files: TlsFiles) => Promise<void>,
  failed: (error: unknown) => void = () => {},
): { stop(): void } {
  let { version } = first;
  let busy = false;
  const timer = setInterval(async () => {
    if (busy) return;
    busy = true;
    try {
      const files = await readTlsFiles(tls);
      if (files.version === version) return;
      await changed(files);
      version = files.version;
      log.info("tls.reloaded");
    } catch (error) {
      log.warning("tls.reload-failed", { error });
      failed(error);
    } finally {
      busy = false;
    }
  }, RELOAD_MS);
  return { stop: () => clearInterval(timer) };
}

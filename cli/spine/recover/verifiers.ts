/**
 * The identity verifiers of a local spine, one for each provider, each a process of its own (`rk verifier`): the reference one, which
 * believes what is typed into its page. Nothing else of the spine knows how a verification comes about.
 */

import type { JWK } from "jose";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { RecoverIdentity } from "shared/protocol/wire/recover.ts";
import { readVerifierConfig } from "providers/app/verifier_config.ts";
import { verifierSpec } from "../../commands/verifier.ts";
import type { ChildSpec } from "../../process/child.ts";
import { printedBy } from "../../process/foreground.ts";
import { writeYaml } from "./configurations.ts";
import { type ProviderIndex, providerName, verifierFolder } from "./layout.ts";

/** What a provider has to know of its verifier. */
export interface LocalVerifier {
  /** In its results and its key set. */
  readonly issuer: string;
  /** Signs the set of its keys; pinned in the vault. */
  readonly pinnedKey: JWK;
  /** Where it serves, without a path. */
  readonly url: string;
}

/** What a person answers on the verifier's page. */
export interface Verification {
  /** Of the step that asks: 32 bytes, hex. */
  readonly nonce: string;
  readonly identity: RecoverIdentity;
  /** The four digits that the device shows; the first provider's verifier asks for them. */
  readonly securityCode?: string;
}

/** Makes the keys of a verifier, or keeps them. @param folder the spine's. @param address where it will serve. */
export async function initVerifier(
  folder: string,
  index: ProviderIndex,
  address: string,
): Promise<LocalVerifier> {
  const file = await writeConfiguration(folder, index, address);
  const made = await printedBy<Pick<LocalVerifier, "issuer" | "pinnedKey">>(
    verifierSpec("init", file, await readVerifierConfig(file)),
  );
  return { ...made, url: `http://${address}` };
}

/** How it is started, once the provider's vault has its key. @param folder the spine's. */
export async function serveVerifierSpec(
  folder: string,
  index: ProviderIndex,
  address: string,
  vaultKey: JWK,
): Promise<Omit<ChildSpec, "logFile">> {
  const file = await writeConfiguration(folder, index, address, vaultKey);
  return verifierSpec("serve", file, await readVerifierConfig(file));
}

async function writeConfiguration(
  folder: string,
  index: ProviderIndex,
  listen: string,
  vaultKey?: JWK,
): Promise<string> {
  const file = `${verifierFolder(folder, index)}/verifier.yaml`;
  await writeYaml(file, {
    issuer: `https://verifier-${index}.invalid`,
    listen,
    keys: "keys",
    ...(vaultKey === undefined ? {} : { provider: { name: providerName(index), vaultKey } }),
  });
  return file;
}

/** Sends the verifier's form as its page would. @returns the sealed result. @throws {CodedError} `SPINE_VERIFIER`. */
export async function askVerifier(
  { url }: Pick<LocalVerifier, "url">,
  { nonce, identity, securityCode }: Verification,
): Promise<string> {
  const { firstName, lastName, dateOfBirth, placeOfBirth } = identity;
  const response = await fetch(`${url}/results`, {
    method: "POST",
    headers: { accept: "application/json" },
    body: new URLSearchParams({
      nonce,
      firstName,
      lastName,
      dateOfBirth,
      placeOfBirth,
      securityCode: securityCode ?? "",
      confirmed: "yes",
    }),
  });
  const answer = await response.json() as { result?: string; code?: string };
  if (answer.result === undefined) {
    throw new CodedError(
      "SPINE_VERIFIER",
      `Cannot have the identity verified at ${url}: ${response.status} ${answer.code ?? ""}`.trimEnd(),
    );
  }
  return answer.result;
}

defineErrors({
  SPINE_VERIFIER: {
    fault: "service",
    retry: true,
    next: "Read verifier-1.log and the like in the spine's folder of logs.",
  },
});

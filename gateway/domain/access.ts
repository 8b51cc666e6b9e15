/**
 * Who may use a route: which authorities' certificates, and of those which names or roles. A role is a named set of identities, so
 * that a kind of client is written down once. Each refusal has a reason of its own for the operator.
 */

import type { CertificateNames } from "shared/protocol/x509/names.ts";
import type { ClientMatcher } from "./client_names.ts";
import { type Refusal, refuse } from "./refusals.ts";

/** What the decision looks at. */
export interface Client {
  readonly names: CertificateNames;
  /** Configured name of the authority that vouches for it; undefined when that has none. */
  readonly group: string | undefined;
}

/** A set of identities, of some authorities or (undefined) of any. */
export interface AcceptedClients {
  readonly authorities: readonly string[] | undefined;
  readonly identities: ClientMatcher;
}

/** The rule of a route. */
export interface AccessRule extends AcceptedClients {
  readonly roles: readonly AcceptedClients[];
}

const ofAuthority = ({ authorities }: AcceptedClients, { group }: Client) =>
  authorities === undefined || (group !== undefined && authorities.includes(group));

/** Refuses a client that the rule does not accept; undefined accepts it. */
export function decideAccess(rule: AccessRule, client: Client): Refusal | undefined {
  if (!ofAuthority(rule, client)) return refuse("authority-not-allowed");
  if (rule.identities(client.names)) return undefined;
  const named = rule.roles.filter(({ identities }) => identities(client.names));
  if (named.length === 0) return refuse("identity-not-allowed");
  return named.some((role) => ofAuthority(role, client)) ? undefined : refuse("role-authority-not-allowed");
}

/** Errors that several parts of a presentation raise about the card on the reader. */

import { CodedError } from "shared/base/errors.ts";
import type { CardFacts } from "../../domain/personalization/facts.ts";
import type { Profile } from "../../domain/profile.ts";
import "factory/domain/personalization/errors.ts";

/** The card is another one. */
export function swapped(what: string): CodedError {
  return new CodedError("CARD_SWAPPED", `Cannot go on with card: another one lies on the reader (${what})`);
}

/** The card lacks the profile's key version. */
export function keyVersionMissing({ keyVersions }: CardFacts, { isdKeys }: Profile): CodedError {
  const there = keyVersions?.join(", ");
  return new CodedError(
    "CARD_KEY_VERSION",
    `Cannot use card: it has no keys of version ${isdKeys.version}${there ? `, only ${there}` : ""}`,
  );
}

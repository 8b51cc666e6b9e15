/** Locking the card: life cycle SECURED, and ISD keys that nobody has. spec/card.md, section 7, step 8. */

import { CodedError } from "shared/base/errors.ts";
import { CARD_LIFE_CYCLE, cardLifeCycleName } from "shared/protocol/gp/constants.ts";
import { getStatusCommand, parseStatusEntries, STATUS_SCOPE } from "shared/protocol/gp/get_status.ts";
import { putKeyCommand, verifyPutKeyAnswer } from "shared/protocol/gp/put_key.ts";
import { SET_STATUS_SCOPE, setStatusCommand } from "shared/protocol/gp/set_status.ts";
import { type Exchange, type Exchanges, known } from "./exchange.ts";

/** Next life cycle on the way to SECURED. GPC 2.3.1, figure 5-1. */
const TOWARDS_SECURED: ReadonlyMap<number, number> = new Map<number, number>([
  [CARD_LIFE_CYCLE.OP_READY, CARD_LIFE_CYCLE.INITIALIZED],
  [CARD_LIFE_CYCLE.INITIALIZED, CARD_LIFE_CYCLE.SECURED],
]);

const readCard: Exchange = {
  name: "read the card's life cycle",
  command: getStatusCommand(STATUS_SCOPE.ISSUER_SECURITY_DOMAIN),
  check: (answer, facts) => {
    const entries = parseStatusEntries(answer.data);
    if (entries.length !== 1) {
      throw new CodedError(
        "CARD_ANSWER",
        `Cannot read the card's life cycle: ${entries.length} issuer domains`,
      );
    }
    facts.cardLifeCycle = entries[0]!.lifeCycle;
  },
};

/** GET STATUS of the issuer domain. */
export const readCardLifeCycle: Exchanges = () => [readCard];

/** SET STATUS of the card, one state after the other up to SECURED, and GET STATUS, which must say so. */
export const secureCard: Exchanges = (facts) => {
  const exchanges: Exchange[] = [];
  let state = known(facts.cardLifeCycle, "the card's life cycle");
  for (let next = TOWARDS_SECURED.get(state); next !== undefined; next = TOWARDS_SECURED.get(state)) {
    exchanges.push({
      name: `bring the card to ${cardLifeCycleName(next)}`,
      command: setStatusCommand(SET_STATUS_SCOPE.CARD, next),
    });
    state = next;
  }
  return [...exchanges, {
    ...readCard,
    check: (answer, facts) => {
      readCard.check?.(answer, facts);
      if (facts.cardLifeCycle !== CARD_LIFE_CYCLE.SECURED) {
        throw new CodedError(
          "CARD_NOT_LOCKED",
          `Cannot secure card: it reports ${cardLifeCycleName(facts.cardLifeCycle ?? 0)}`,
        );
      }
    },
  }];
};

/**
 * PUT KEY on the ISD with random keys under a new version. The keys exist in this process for this one command; the
 * engine wipes them whatever happens. That it happened is seen by INITIALIZE UPDATE alone.
 */
export const replaceIsdKeys: Exchanges = (facts, { isdKeys, secure }, tools) => {
  const newVersion = known(secure.newKeyVersion ?? undefined, "the new key version");
  const keys = tools.randomKeys(isdKeys.lengthBytes);
  facts.throwAwayKeys = keys;
  return [{
    name: "throw the card's transport keys away",
    command: putKeyCommand({
      newVersion,
      replaceVersion: isdKeys.version,
      keys,
      encryptWithDek: (data) => tools.encryptWithDek(data),
    }),
    check: (answer) => verifyPutKeyAnswer(answer.data, newVersion, keys),
  }];
};

/** Codes of the updater. */

import { defineErrors } from "shared/base/errors.ts";

const AGAIN =
  "Put the card on the reader and run `rk wallet update` again: it goes on where the card stands.";

/** The table; registered on import. */
export const UPDATER_ERRORS = defineErrors({
  WALLET_UPDATE_CONFIG: {
    fault: "configuration",
    retry: false,
    next:
      "Give --config FILE with `gateways`, `tls`, `root` and `releaseKey`; docs/operations/update.md shows one.",
  },
  WALLET_UPDATE_RUNNING: {
    fault: "usage",
    retry: true,
    next: "Another `rk wallet update` is at work with this wallet: wait for its end.",
  },
  WALLET_UPDATE_JOURNAL: {
    fault: "configuration",
    retry: false,
    next:
      "The journal of updates is damaged. Keep a copy and remove it: the service knows the card as well, and goes on with it.",
  },
  WALLET_UPDATE_NOT_OFFERED: {
    fault: "usage",
    retry: false,
    next: "Nothing has to be done; the reason stands in the message. The card works as before.",
  },
  WALLET_UPDATE_PACKAGE: {
    fault: "peer",
    retry: true,
    next:
      "What came is not what the key holders signed: try again later or from another place; report it if it stays so.",
  },
  WALLET_UPDATE_COMMAND: {
    fault: "peer",
    retry: false,
    next:
      "The service, or somebody on the way, asked for what an update never needs. Nothing of it reached the card: report it.",
  },
  WALLET_UPDATE_PROTOCOL: {
    fault: "peer",
    retry: true,
    next: AGAIN,
  },
  WALLET_UPDATE_TORN: { fault: "card", retry: true, next: AGAIN },
  WALLET_UPDATE_OTHER_CARD: {
    fault: "card",
    retry: true,
    next: "Put the card that the update began with on the reader, and run `rk wallet update` again.",
  },
  WALLET_UPDATE_NOTHING: {
    fault: "card",
    retry: false,
    next:
      "This card is not in the middle of an update, and has no Recovery Key applet: `rk card info` tells what it has.",
  },
  WALLET_UPDATE_RECOVERED: {
    fault: "service",
    retry: false,
    next: "The card has its old version and everything it held. Wait for another release.",
  },
  WALLET_UPDATE_CHANGED: {
    fault: "card",
    retry: false,
    next: "Do not rely on this card. Make a new backup from your wallet on another card, and report it.",
  },
});

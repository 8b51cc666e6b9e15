/** Error codes of the card tool. */

import { defineErrors } from "shared/base/errors.ts";

/** The card tool's table; registered on import. */
export const CARD_TOOL_ERRORS = defineErrors({
  CARDTOOL_USAGE: { fault: "usage", retry: false, next: "`rk help card` tells what the options take." },
  CARDTOOL_NO_KEYS: {
    fault: "usage",
    retry: false,
    next: "Give --keys FILE (JSON, mode 0600) or --keys-fd N; --test-keys takes the published ones 40..4F.",
  },
  CARDTOOL_KEY_FILE: {
    fault: "configuration",
    retry: false,
    next:
      'Write JSON: {"version":"30","enc":HEX,"mac":HEX,"dek":HEX}, or {"key":HEX}, or {"master":HEX,"diversification":"kdf3"}.',
  },
  CARDTOOL_FILE: { fault: "usage", retry: false, next: "Check the path and its permissions." },
  CARDTOOL_SECRET_ARGUMENT: {
    fault: "usage",
    retry: false,
    next: "Other users see arguments: give such a command with --file FILE (or - for standard input).",
  },
  CARDTOOL_GUARD: {
    fault: "card",
    retry: false,
    next:
      "Find out which keys the card has before anything else: cards count failures and lock. --retry-authentication tries once more.",
  },
  CARDTOOL_SCP: {
    fault: "card",
    retry: false,
    next:
      "This tool speaks SCP03. `rk card info` and `rk card list` still tell what this card gives without a channel.",
  },
  CARDTOOL_REFUSED: {
    fault: "card",
    retry: false,
    next: "`rk card diagnose` tells in which state the card is.",
  },
  CARDTOOL_LOADED: {
    fault: "card",
    retry: false,
    next: "The package is on the card: --replace deletes it with its applications and loads this one.",
  },
  CARDTOOL_INSTALLED: {
    fault: "card",
    retry: false,
    next: "Something on the card has this AID: give another one with --aid, or delete what is there.",
  },
  CARDTOOL_NOT_THERE: { fault: "card", retry: false, next: "`rk card list` tells what is on the card." },
  CARDTOOL_STATE: {
    fault: "card",
    retry: false,
    next: "The card's or application's life cycle does not allow it: `rk card list` shows it.",
  },
  CARDTOOL_TRACE: {
    fault: "configuration",
    retry: false,
    next: "Give a trace of --trace (JSON lines) or a recording like tests/vectors/data/card (JSON).",
  },
  CARDTOOL_REPLAY_DIFFERS: {
    fault: "card",
    retry: false,
    next: "The card does not answer as recorded: the rows above tell where.",
  },
  CARDTOOL_DAP: {
    fault: "configuration",
    retry: false,
    next:
      'Give JSON {"securityDomainAid":HEX,"signature":HEX}, or the signature alone (bytes or hex) and --dap-domain AID.',
  },
  CARDTOOL_CAP_CHOICE: {
    fault: "usage",
    retry: false,
    next: "Name one of the package's modules with --module AID.",
  },
});

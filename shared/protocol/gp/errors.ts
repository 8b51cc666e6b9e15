/** Error codes of the GlobalPlatform commands. */

import { defineErrors } from "../../base/errors.ts";

const PROFILE = "Compare the batch profile with the card: `rk station diagnose` prints what the card says.";
const CARD =
  "The card's answer is not what GlobalPlatform says: take the card out of the batch and note the step.";

/** The GlobalPlatform table; registered on import. */
export const GP_ERRORS = defineErrors({
  GP_AID: {
    fault: "configuration",
    retry: false,
    next: "Give an AID of 5 to 16 bytes (ISO/IEC 7816-4, 8.2.1.2).",
  },
  GP_PRIVILEGES: { fault: "configuration", retry: false, next: "Give 1 or 3 bytes (GPC 2.3.1, 11.1.2)." },
  GP_FIELD_LENGTH: { fault: "configuration", retry: false, next: "Shorten the parameters, hash or token." },
  GP_BLOCK_SIZE: { fault: "configuration", retry: false, next: "Give a block size from 1 to 255 bytes." },
  GP_TOO_MANY_BLOCKS: {
    fault: "configuration",
    retry: false,
    next: "Block numbers end at 255: raise the block size in the profile, or make the package smaller.",
  },
  GP_LOAD_FILE: {
    fault: "peer",
    retry: false,
    next: "The load file is not DAP blocks and one C4: build it again.",
  },
  GP_COMMAND: {
    fault: "peer",
    retry: false,
    next: "The command's data field is not laid out as GPC 2.3.1 says.",
  },
  GP_ANSWER: { fault: "card", retry: false, next: CARD },
  GP_REFUSED: { fault: "card", retry: false, next: PROFILE },
  GP_KEY: {
    fault: "configuration",
    retry: false,
    next: "Give AES keys of 16, 24 or 32 bytes, all three of one length.",
  },
  GP_DIVERSIFICATION: {
    fault: "configuration",
    retry: false,
    next: "EMV and VISA2 take a master key of 16 bytes; for a longer one the scheme is kdf3.",
  },
  GP_KEY_CHECK_VALUE: {
    fault: "card",
    retry: false,
    next: "Card and station differ in the key that was written: do not use the card, scrap it.",
  },
});

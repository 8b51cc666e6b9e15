/** Status words: names for programs, and for people what each means, where that is written, and what to do next. */

/** Status words that this program sends or tests for. */
export const SW = {
  OK: 0x9000,
  RESPONSE_BYTES_REMAINING: 0x6100,
  WARNING_STATE_CHANGED: 0x6300,
  MORE_DATA_AVAILABLE: 0x6310,
  PIN_TRIES_LEFT: 0x63c0,
  EXECUTION_ERROR: 0x6400,
  MEMORY_FAILURE: 0x6581,
  WRONG_LENGTH: 0x6700,
  LOGICAL_CHANNEL_NOT_SUPPORTED: 0x6881,
  SECURE_MESSAGING_NOT_SUPPORTED: 0x6882,
  SECURITY_STATUS_NOT_SATISFIED: 0x6982,
  AUTHENTICATION_METHOD_BLOCKED: 0x6983,
  CONDITIONS_NOT_SATISFIED: 0x6985,
  SECURE_MESSAGING_DATA_MISSING: 0x6887,
  SECURE_MESSAGING_DATA_INCORRECT: 0x6888,
  SCP03_UNWRAP_FAILED: 0x6988,
  SELECT_FAILED: 0x6999,
  WRONG_DATA: 0x6a80,
  FUNCTION_NOT_SUPPORTED: 0x6a81,
  FILE_NOT_FOUND: 0x6a82,
  NOT_ENOUGH_MEMORY: 0x6a84,
  INCORRECT_P1P2: 0x6a86,
  REFERENCED_DATA_NOT_FOUND: 0x6a88,
  WRONG_P1P2: 0x6b00,
  WRONG_LE: 0x6c00,
  INS_NOT_SUPPORTED: 0x6d00,
  CLA_NOT_SUPPORTED: 0x6e00,
  UNKNOWN: 0x6f00,
  ALGORITHM_NOT_SUPPORTED: 0x9484,
  INVALID_KEY_CHECK_VALUE: 0x9485,
  APPLET_FATAL: 0x9f00,
  APPLET_AUTHENTICATION_FAILED: 0xbeaf,
} as const;

/** What one status word, or one family of them, says. */
export interface StatusWord {
  /** What happened, in a few words. */
  readonly meaning: string;
  /** Where that is written. */
  readonly source: string;
  /** What the reader can do. */
  readonly next: string;
}

const ISO = "ISO/IEC 7816-4, 5.6 tables 5 and 6";
const GP_GENERAL = "GPC 2.3.1, table 11-10";
const APPLET = "Recovery Key applet, as recorded";
const REPORT = "Report it together with the command that caused it.";
const STATE = "Read the card's life cycle (`rk station diagnose`): the command belongs to another state.";

const ROWS: ReadonlyMap<number, StatusWord> = new Map<number, StatusWord>([
  [0x9000, { meaning: "success", source: GP_GENERAL, next: "Nothing to do." }],
  [0x6200, { meaning: "warning without information", source: ISO, next: "Read back what was written." }],
  [0x6283, {
    meaning: "the selected application is locked, or the card is",
    source: "GPC 2.3.1, table 11-83",
    next: "Unlock it with SET STATUS, or scrap the card.",
  }],
  [0x6300, {
    meaning: "authentication of the host cryptogram failed",
    source: "Amd D v1.1.2, 7.1.2",
    next: "Check batch and key version. Do not try other keys: cards count failures and lock.",
  }],
  [0x6310, {
    meaning: "more data available",
    source: "GPC 2.3.1, 11.4.3.2",
    next: "Ask for the next occurrence (P2 03).",
  }],
  [0x6400, {
    meaning: "no specific diagnosis",
    source: GP_GENERAL,
    next: "Present the card again; scrap it when it repeats.",
  }],
  [0x6581, {
    meaning: "memory failure",
    source: "GPC 2.3.1, table 11-26",
    next: "Scrap the card: its memory fails.",
  }],
  [0x6700, { meaning: "wrong length in Lc", source: GP_GENERAL, next: REPORT }],
  [0x6881, { meaning: "logical channel not supported or not active", source: GP_GENERAL, next: REPORT }],
  [0x6882, { meaning: "secure messaging not supported", source: ISO, next: REPORT }],
  [0x6887, { meaning: "capsule missing", source: APPLET, next: REPORT }],
  [0x6888, {
    meaning: "capsule MAC or padding wrong",
    source: APPLET,
    next: "Start again from SELECT: the session keys of the two sides differ.",
  }],
  [0x6982, {
    meaning: "security status not satisfied",
    source: GP_GENERAL,
    next: "Open the secure channel at the level that this command needs; then check privileges.",
  }],
  [0x6983, {
    meaning: "authentication method blocked",
    source: ISO,
    next: "No try is left: the card has wiped itself.",
  }],
  [0x6985, { meaning: "conditions of use not satisfied", source: GP_GENERAL, next: STATE }],
  [0x6986, {
    meaning: "command not allowed: no application is selected",
    source: ISO,
    next: "SELECT the application first.",
  }],
  [0x6988, {
    meaning: "secure messaging failed: wrong MAC",
    source: "ISO/IEC 7816-4 table 6; Amd D v1.1.2, 6.2.4",
    next: "The session is dead: select again and authenticate again.",
  }],
  [0x6999, {
    meaning: "the applet refused its selection",
    source: "Java Card 3.0.5 ISO7816",
    next: "Check the AID and whether the applet is installed.",
  }],
  [0x6a80, {
    meaning: "incorrect values in the data field",
    source: "GPC 2.3.1, tables 11-26, 11-39, 11-78; 11.5.3.2, 11.6.3.2",
    next:
      "Compare the profile with the card: AIDs, parameters, already loaded or installed items, key format.",
  }],
  [0x6a81, {
    meaning: "function not supported, for example the card is locked",
    source: "GPC 2.3.1, table 11-84",
    next: "Check the card's life cycle; a locked card answers so to SELECT.",
  }],
  [0x6a82, {
    meaning: "application or file not found",
    source: "GPC 2.3.1, tables 11-26 and 11-84",
    next: "Check the AID in the profile and that the package is loaded.",
  }],
  [0x6a84, {
    meaning: "not enough memory",
    source: "GPC 2.3.1, 11.5.3.2 and 11.6.3.2",
    next: "Delete what is not needed, or take a larger card.",
  }],
  [0x6a86, { meaning: "incorrect P1 P2", source: GP_GENERAL, next: REPORT }],
  [0x6a88, {
    meaning: "referenced data not found",
    source: "GPC 2.3.1, tables 11-26, 11-39, 11-78",
    next: "Check the key version, tag or AID that the command names.",
  }],
  [0x6b00, { meaning: "wrong P1 P2", source: ISO, next: REPORT }],
  [0x6d00, {
    meaning: "invalid instruction",
    source: GP_GENERAL,
    next: "Check which application is selected: this one has no such command.",
  }],
  [0x6e00, {
    meaning: "invalid class",
    source: GP_GENERAL,
    next: "Check which application is selected: it has another class byte.",
  }],
  [0x6f00, {
    meaning: "no precise diagnosis",
    source: ISO,
    next: "Reset the card and begin again from SELECT.",
  }],
  [0x9484, {
    meaning: "algorithm not supported",
    source: "GPC 2.2, 11.8.3.2",
    next: "Check the key type and length in the profile.",
  }],
  [0x9485, { meaning: "invalid key check value", source: "GPC 2.2, 11.8.3.2", next: REPORT }],
  [0x9f00, {
    meaning: "fatal error: the card wiped PIN, seed and name",
    source: APPLET,
    next: "Scrap the card.",
  }],
  [0xbeaf, {
    meaning: "authentication of the host failed",
    source: APPLET,
    next: "Check the wallet channel's keys. Do not try other keys on this card.",
  }],
]);

function familyOf(sw: number): StatusWord | undefined {
  const low = sw & 0xff;
  switch (sw >> 8) {
    case 0x61:
      return {
        meaning: `${low || 256} more bytes wait`,
        source: "ISO/IEC 7816-4, 5.6",
        next: "Fetch them with GET RESPONSE.",
      };
    case 0x62:
      return { meaning: "warning, memory unchanged", source: ISO, next: "Read back what was written." };
    case 0x63:
      if ((low & 0xf0) === 0xc0) {
        const tries = low & 0x0f;
        return {
          meaning: `verification failed, ${tries} ${tries === 1 ? "try" : "tries"} left`,
          source: "ISO/IEC 7816-4, table 6",
          next: "Do not repeat it without a person's decision: the last wrong try wipes the card.",
        };
      }
      return { meaning: "warning, memory changed", source: ISO, next: "Read back what was written." };
    case 0x64:
      return { meaning: "execution error, memory unchanged", source: ISO, next: "Present the card again." };
    case 0x65:
      return {
        meaning: "execution error, memory changed",
        source: ISO,
        next: "Read the card's state before anything else.",
      };
    case 0x68:
      return { meaning: "function in the class byte not supported", source: ISO, next: REPORT };
    case 0x69:
      return { meaning: "command not allowed", source: ISO, next: STATE };
    case 0x6a:
      return { meaning: "wrong parameters", source: ISO, next: REPORT };
    case 0x6c:
      return {
        meaning: `wrong Le, ${low || 256} bytes are there`,
        source: "ISO/IEC 7816-4, 5.6",
        next: "Send it again with that Le.",
      };
    default:
      return undefined;
  }
}

/** The row of a status word: its own, or its family's, or one that says that nobody defined it. */
export function statusWord(sw: number): StatusWord {
  return ROWS.get(sw) ?? familyOf(sw) ?? {
    meaning: "status word of the card's maker",
    source: "in none of the specifications that this program follows",
    next: "Look it up in the card's manual.",
  };
}

/** Status word as four hex digits. */
export function formatStatus(sw: number): string {
  return sw.toString(16).toUpperCase().padStart(4, "0");
}

/** One line for people: digits, meaning, source section. */
export function describeStatus(sw: number): string {
  const row = statusWord(sw);
  return `${formatStatus(sw)}: ${row.meaning} (${row.source})`;
}

/** The statuses of the table itself, for help and docs. */
export function statusTable(): ReadonlyMap<number, StatusWord> {
  return ROWS;
}

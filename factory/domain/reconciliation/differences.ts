/** What can differ between the records and the line, and what to do: the text is for the person at the line. */

/** The table. */
export const DIFFERENCES = {
  NOT_TOLD:
    "The station has not told the service yet: start it with this journal, it does so at once; then reconcile again.",
  IN_FLIGHT:
    "Present the card to a reader again, it continues; if it cannot be found, close the batch with it as missing.",
  OUTCOME_DIFFERS:
    "Take the card off the line. Its record cannot change: keep the card and the journal, and find out why before the batch closes.",
  CERTIFICATE_DIFFERS:
    "The card may hold a superseded certificate, which wallets refuse: check it with `rk wallet genuine-check`, and keep it back.",
  MISSING_ENDED:
    "The card is somewhere: look for it at that station. A batch manager corrects the record of a missing card.",
  MISSING_FOUND:
    "Keep the card back: its certificate is on the revocation list until a batch manager corrects the record.",
  NO_JOURNAL:
    "Give the journals of every station; if this is all, a journal was lost: look for the card itself.",
  SERVICE_LOST:
    "Stop the line: the service has lost a card (an older backup?) or the journal is of another factory. Restore before going on.",
  COUNTED_TWICE: "Count again. Two cards that show one serial are a forgery: keep both.",
  COUNTED_STRANGE: "The card is of another batch or none: take it out, and look where it comes from.",
  COUNTED_NOT_GOOD: "Take the card out of the tray: it must not be shipped.",
  COUNTED_NOT_SCRAPPED: "Take the card out of the box: a good one goes to the tray, another one to a reader.",
  GOOD_NOT_COUNTED:
    "Search for the card: it is genuine, and its record says good. If it is not found, report its loss.",
  SCRAPPED_NOT_COUNTED:
    "Search for the card: a scrapped card must not leave the factory (its certificate is revoked).",
} as const;

/** A code of {@link DIFFERENCES}. */
export type DifferenceCode = keyof typeof DIFFERENCES;

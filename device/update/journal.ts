/**
 * What the wallet remembers of updates that have begun and not ended: one small file, replaced whole, and the packages beside it.
 * A card in the middle of its update cannot say who it is, but for its chip's production data (CPLC): those find its entry.
 */

import { createHash } from "node:crypto";
import { z } from "zod";
import { fromUtf8, toHex, toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { hexBytes } from "shared/protocol/wire/attestation.ts";
import {
  eraseFile,
  lockFile,
  lookAtFile,
  removeLeftOver,
  replaceFile,
} from "shared/transport/durable_file.ts";
import "./errors.ts";

/** Most cards in the middle of an update; the oldest entry makes room. */
export const JOURNAL_CARDS_MAX = 32;
const JOURNAL_BYTES_MAX = 512 * 1024;
const JOURNAL_FILE = "journal.json";

const Facts = z.strictObject({
  serial: z.string(),
  name: z.string().nullable(),
  version: z.string(),
  lifeCycle: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]),
  pinTriesLeft: z.int().min(0).max(3).nullable(),
  certificateSha256: z.string(),
});

const Entry = z.strictObject({
  /** Hex. */
  cplc: hexBytes(42),
  /** The card as it was, its PIN given and right. */
  before: Facts,
  /** SHA-256 (hex) of each key that its answer to VERIFY SEED can be by; empty: it holds no seed. */
  seedSigners: z.array(hexBytes(32)).max(2),
  from: z.string(),
  to: z.string(),
  product: z.string(),
  /** Of the package file, hex; beside the journal under this name. */
  packageSha256: hexBytes(32),
  /** Load File Data Block Hash of the release, hex: applet 1.1 and later claim it. */
  loadFileHash: hexBytes(32),
  /** The service's sealed word; null: it has given none yet. */
  authorization: z.string().max(8192).nullable(),
  /** Milliseconds since 1970. */
  begun: z.int(),
});
const Content = z.strictObject({
  format: z.literal("rk-update-journal-1"),
  cards: z.array(Entry).max(JOURNAL_CARDS_MAX),
});

/** One card's update. */
export type JournalEntry = z.infer<typeof Entry>;

/** The journal; it is this process's until it is closed. */
export interface UpdateJournal extends Disposable {
  /** The entry of a card. @param cplc hex. */
  find(cplc: string): JournalEntry | undefined;
  /** Writes an entry in place of the card's earlier one; it is on the disk when this returns. */
  write(entry: JournalEntry): void;
  /** Ends an update. */
  remove(cplc: string): void;
  /** Keeps a package; its name is the SHA-256 of its bytes. */
  keepPackage(file: Uint8Array): void;
  /** A kept package; undefined when it is not there or is damaged. @param sha256 hex. */
  readPackage(sha256: string): Uint8Array | undefined;
}

/**
 * Opens the journal of a folder, which is there.
 * @throws {CodedError} `WALLET_UPDATE_RUNNING` when another process has it, `WALLET_UPDATE_JOURNAL`.
 */
export function openUpdateJournal(folder: string): UpdateJournal {
  const path = `${folder}/${JOURNAL_FILE}`;
  const lock = lockFile(path);
  if (lock === undefined) {
    throw new CodedError("WALLET_UPDATE_RUNNING", "Cannot update: another update of this wallet is going on");
  }
  let cards: JournalEntry[];
  try {
    removeLeftOver(path);
    cards = read(path);
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
  const save = (next: JournalEntry[]) => {
    cards = next;
    replaceFile(path, toUtf8(JSON.stringify({ format: "rk-update-journal-1", cards })));
    // Only packages that an entry names are needed any more.
    for (const { name } of Deno.readDirSync(folder)) {
      if (name.endsWith(".rkpkg") && !cards.some((each) => packageName(each.packageSha256) === name)) {
        eraseFile(`${folder}/${name}`);
      }
    }
  };
  return {
    find: (cplc) => cards.find((each) => each.cplc === cplc),
    write: (entry) =>
      save([...cards.filter((each) => each.cplc !== entry.cplc), entry].slice(-JOURNAL_CARDS_MAX)),
    remove: (cplc) => save(cards.filter((each) => each.cplc !== cplc)),
    keepPackage: (file) => replaceFile(`${folder}/${packageName(sha256Hex(file))}`, file.slice()),
    readPackage(sha256) {
      try {
        const file = Deno.readFileSync(`${folder}/${packageName(sha256)}`);
        return sha256Hex(file) === sha256 ? file : undefined;
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
    },
    [Symbol.dispose]: () => lock[Symbol.dispose](),
  };
}

const packageName = (sha256: string) => `${sha256.toLowerCase()}.rkpkg`;
const sha256Hex = (bytes: Uint8Array) => toHex(createHash("sha256").update(bytes).digest());

function read(path: string): JournalEntry[] {
  const found = lookAtFile(path);
  if (found === undefined) return [];
  try {
    if (found.bytes > JOURNAL_BYTES_MAX) throw new Error("too long");
    return Content.parse(JSON.parse(fromUtf8(Deno.readFileSync(path)))).cards;
  } catch (error) {
    throw new CodedError("WALLET_UPDATE_JOURNAL", `Cannot read journal of updates ${path}`, { path }, error);
  }
}

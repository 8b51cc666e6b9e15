/**
 * Attachments of a log in two folders: encrypted contents beside the log, and their keys, which may lie on another disk and are
 * left out of backups that must be able to forget.
 */

import { CodedError, defineErrors } from "../../base/errors.ts";
import { Secret } from "../../base/secret.ts";
import { ATTACHMENT_KEY_LENGTH, openAttachment, type SealedAttachment } from "../../log/attachment.ts";

/** Where attachments are kept. Names are commitments (32 bytes) in hex. */
export class AttachmentDirectory {
  /**
   * @param contents folder of the encrypted contents.
   * @param keys folder of the keys (mode 0700).
   */
  constructor(readonly contents: string, readonly keys: string) {}

  /** Keeps an attachment; on the disk before this resolves. Wipes its key. */
  async put({ commitment, sealed, key }: SealedAttachment): Promise<void> {
    const name = commitment.toHex();
    await Deno.mkdir(this.contents, { recursive: true, mode: 0o700 });
    await Deno.mkdir(this.keys, { recursive: true, mode: 0o700 });
    try {
      await writeDurably(`${this.keys}/${name}`, key.reveal());
      await writeDurably(`${this.contents}/${name}`, sealed);
      for (const folder of [this.keys, this.contents]) await syncFolder(folder);
    } finally {
      key.wipe();
    }
  }

  /** The content. @throws {CodedError} `ATTACHMENT_FORGOTTEN`, `ATTACHMENT_MISSING`, `ATTACHMENT_UNREADABLE`. */
  async read(commitment: Uint8Array): Promise<Uint8Array> {
    const name = commitment.toHex();
    const sealed = await readOrNothing(`${this.contents}/${name}`);
    if (sealed === undefined) {
      throw new CodedError("ATTACHMENT_MISSING", "Cannot read attachment: its content is not in the folder");
    }
    const key = await readOrNothing(`${this.keys}/${name}`);
    if (key === undefined) {
      throw new CodedError("ATTACHMENT_FORGOTTEN", "Cannot read attachment: its key was deleted");
    }
    using secret = new Secret(key);
    return openAttachment(sealed, secret, commitment);
  }

  /**
   * Deletes the key, then the content. The key's bytes are written over first; whether the medium keeps an old copy is the
   * medium's matter (docs/log.md).
   * @returns false when it was forgotten before.
   */
  async forget(commitment: Uint8Array): Promise<boolean> {
    const name = commitment.toHex();
    const path = `${this.keys}/${name}`;
    const known = await readOrNothing(path) !== undefined;
    if (known) {
      await writeInPlace(path, new Uint8Array(ATTACHMENT_KEY_LENGTH));
      await Deno.remove(path);
      await syncFolder(this.keys);
    }
    await Deno.remove(`${this.contents}/${name}`).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    return known;
  }
}

async function readOrNothing(path: string): Promise<Uint8Array | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { createNew: true, write: true, mode: 0o600 });
  await writeAll(file, bytes);
}

/** Names are durable when their folder is. */
async function syncFolder(path: string): Promise<void> {
  using folder = await Deno.open(path, { read: true });
  await folder.sync();
}

async function writeInPlace(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true });
  await writeAll(file, bytes);
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
  await file.sync();
}

defineErrors({
  ATTACHMENT_MISSING: {
    fault: "usage",
    retry: false,
    next: "Give the folder that the log's attachments are in.",
  },
  ATTACHMENT_FORGOTTEN: {
    fault: "usage",
    retry: false,
    next: "It was forgotten on purpose: the entry and its commitment stay, the content is gone.",
  },
});

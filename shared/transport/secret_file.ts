/** Files that hold a PIN or a passphrase: made and read so that nobody but their owner sees them. */

import { CodedError, defineErrors } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";

/** Longest secret in bytes that is read from a file. */
export const SECRET_FILE_LIMIT_BYTES = 1024;

/** Permission bits that must be clear: group and others. */
const FORBIDDEN_MODE = 0o077;
const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Reads a secret from a file that only its owner can read; one newline at its end does not count.
 * The bytes go straight into the buffer that `Secret.wipe` clears: no string is made of them.
 * @throws {CodedError} `SECRET_FILE_MISSING`, `SECRET_FILE_OPEN` (group or others may read or write it),
 *   `SECRET_FILE_CONTENT` (empty, or longer than {@link SECRET_FILE_LIMIT_BYTES}).
 */
export function readSecretFile(path: string): Secret {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true });
  } catch (error) {
    throw new CodedError("SECRET_FILE_MISSING", `Cannot read secret file ${path}: ${reasonOf(error)}`, {
      path,
    });
  }
  const buffer = new Uint8Array(SECRET_FILE_LIMIT_BYTES + 2);
  try {
    // The opened file is looked at, not the path: nobody can exchange it in between.
    const { mode, isFile } = file.statSync();
    if (!isFile) throw new CodedError("SECRET_FILE_CONTENT", `Cannot read secret file ${path}: not a file`);
    if (mode !== null && (mode & FORBIDDEN_MODE) !== 0) {
      throw new CodedError(
        "SECRET_FILE_OPEN",
        `Cannot use secret file ${path}: its mode is ${
          (mode & 0o777).toString(8)
        }, others than its owner have access`,
        { path },
      );
    }
    let length = 0;
    while (length < buffer.length) {
      const read = file.readSync(buffer.subarray(length));
      if (read === null) break;
      length += read;
    }
    if (buffer[length - 1] === NEWLINE) length--;
    if (buffer[length - 1] === CARRIAGE_RETURN) length--;
    if (length < 1 || length > SECRET_FILE_LIMIT_BYTES) {
      throw new CodedError(
        "SECRET_FILE_CONTENT",
        `Cannot use secret file ${path}: it holds no line of 1 to ${SECRET_FILE_LIMIT_BYTES} bytes`,
        { path },
      );
    }
    return new Secret(buffer.slice(0, length));
  } finally {
    buffer.fill(0);
    file.close();
  }
}

/**
 * Makes a secret file (mode 0600) of 24 random bytes as 32 characters of base64url. A file that is there stays.
 * @returns whether the file was made.
 */
export function ensureSecretFile(path: string): boolean {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return false;
    throw error;
  }
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  // 64 characters divide 256: taking six bits of each byte is uniform.
  const text = crypto.getRandomValues(new Uint8Array(32)).map((byte) => alphabet.charCodeAt(byte & 63));
  try {
    for (let written = 0; written < text.length;) written += file.writeSync(text.subarray(written));
    file.syncSync();
  } finally {
    text.fill(0);
    file.close();
  }
  return true;
}

function reasonOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "it does not exist";
  if (error instanceof Deno.errors.PermissionDenied) return "the system forbids it";
  if (error instanceof Deno.errors.NotCapable) return "this process has no permission for it";
  return "the system refuses";
}

defineErrors({
  SECRET_FILE_MISSING: {
    fault: "configuration",
    retry: false,
    http: 503,
    next: "Write the secret as one line into that file, mode 0600, owned by the user who runs the process.",
  },
  SECRET_FILE_OPEN: {
    fault: "configuration",
    retry: false,
    http: 503,
    next:
      "Take the rights of group and others away (chmod 600 FILE), and change the secret: it may be known.",
  },
  SECRET_FILE_CONTENT: {
    fault: "configuration",
    retry: false,
    http: 503,
    next: "The file must hold the secret as one line and nothing else.",
  },
});

/** Failed authentications on disk: one file for each chip, so that two tools at two readers never write the same one. */

import { z } from "zod";
import { CodedError, defineErrors } from "shared/base/errors.ts";
import type { FailedAuthentication, FailureRecords } from "./port.ts";

const RECORD = z.strictObject({
  chip: z.string(),
  time: z.string(),
  domain: z.string(),
  keyVersion: z.number(),
  encCheckValue: z.string(),
  outcome: z.string(),
});

/**
 * Opens the records of a folder, which is made when it is not there.
 * A record that cannot be read counts as a failure: the card is not tried.
 */
export function openFailureRecords(folder: string): FailureRecords {
  const path = (chip: string) => `${folder}/failed-${chip.replaceAll(/[^A-Za-z0-9-]/g, "_")}.json`;
  return {
    async read(chip) {
      let text: string;
      try {
        text = await Deno.readTextFile(path(chip));
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return undefined;
        throw error;
      }
      try {
        return RECORD.parse(JSON.parse(text));
      } catch {
        throw new CodedError(
          "CARDTOOL_RECORD",
          `Cannot read ${path(chip)}: what failed on this card is unknown`,
        );
      }
    },
    async write(record: FailedAuthentication) {
      await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
      const final = path(record.chip);
      const temporary = `${final}.${Deno.pid}`;
      const file = await Deno.open(temporary, { write: true, create: true, truncate: true, mode: 0o600 });
      try {
        const bytes = new TextEncoder().encode(JSON.stringify(record));
        for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
        await file.sync();
      } finally {
        file.close();
      }
      await Deno.rename(temporary, final);
    },
    async clear(chip) {
      await Deno.remove(path(chip)).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    },
  };
}

defineErrors({
  CARDTOOL_RECORD: {
    fault: "configuration",
    retry: false,
    next:
      "A failed authentication is on record and its file is damaged: remove the file when you know the keys.",
  },
});

/** Key sets: listing, writing, deleting. */

import { toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { SHORT_LE_MAX } from "shared/protocol/apdu/command.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { deleteKeyVersionCommand } from "shared/protocol/gp/delete.ts";
import {
  getKeyInformationCommand,
  keyVersions,
  parseKeyInformation,
} from "shared/protocol/gp/key_information.ts";
import { putKeyCommand, verifyPutKeyAnswer } from "shared/protocol/gp/put_key.ts";
import { keyCheckValue } from "shared/protocol/scp03/key_check_value.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import { keysFor, type KeySource, wipeKeys } from "../../domain/card_tool/key_file.ts";
import { hexByte, keyTypeWord } from "../../domain/card_tool/names.ts";
import type { Begin } from "./content.ts";
import { lookAt } from "./look.ts";
import { requireOk, type ToolSession } from "./session.ts";

/** One key of the card. */
export interface KeyRow {
  readonly id: number;
  readonly version: number;
  readonly type: string;
  readonly lengthBytes: number;
}

/** Check values of a key set that the person has; cards do not give theirs. */
export interface CheckValues {
  readonly enc: string;
  readonly mac: string;
  readonly dek: string;
}

/** Check values of a key set. */
export function checkValues(keys: StaticKeys): CheckValues {
  const of = (key: StaticKeys["enc"]) => toHex(keyCheckValue(key));
  return { enc: of(keys.enc), mac: of(keys.mac), dek: of(keys.dek) };
}

/** Lists the keys of a domain, with the check values of the given ones as they would be on this card. No key is tried. */
export async function listKeys(
  session: ToolSession,
  domain: Uint8Array | undefined,
  given: KeySource | undefined,
): Promise<{ readonly domain: string | null; readonly keys: KeyRow[]; readonly given: CheckValues | null }> {
  const facts = await lookAt(session, domain);
  if (facts.keys === undefined) {
    const why = facts.unanswered.find(({ what }) => what === "key information")?.why ?? "no answer";
    throw new CodedError("CARDTOOL_REFUSED", `Cannot list keys: the card answers ${why}`);
  }
  let values: CheckValues | null = null;
  if (given !== undefined && (given.kind === "static" || facts.kdd !== undefined)) {
    const keys = await keysFor(given, facts.kdd ?? new Uint8Array(0));
    values = checkValues(keys);
    wipeKeys(keys);
  }
  return {
    domain: facts.domain === undefined ? null : toHex(facts.domain.aid),
    keys: facts.keys.flatMap(({ id, version, components }) =>
      components.map((part) => ({ id, version, type: keyTypeWord(part.type), lengthBytes: part.length }))
    ),
    given: values,
  };
}

/** Key versions of the selected domain, through the channel where one is open; undefined when the card does not tell. */
export async function readKeyVersions(session: ToolSession): Promise<number[] | undefined> {
  const step = "read key information";
  const answer = session.secureChannel === undefined
    ? await session.read(step, getKeyInformationCommand())
    : await session.send(step, getKeyInformationCommand(), { changes: false });
  return answer.sw === SW.OK ? keyVersions(parseKeyInformation(answer.data)) : undefined;
}

/**
 * Writes a key set of three AES keys through the open channel; the card's check values are compared.
 * @param kdd for a master key: the card's key diversification data.
 * @throws {CodedError} `CARDTOOL_REFUSED`, `GP_KEY`, `GP_KEY_CHECK_VALUE`.
 */
export async function putKeys(
  session: ToolSession,
  wish: {
    readonly source: KeySource;
    readonly newVersion: number;
    readonly replaceVersion?: number;
    readonly kdd: Uint8Array | undefined;
  },
  begin: Begin,
): Promise<{ readonly version: number; readonly checkValues: CheckValues }> {
  const { source, newVersion, replaceVersion } = wish;
  if (source.kind === "master" && wish.kdd === undefined && !session.dryRun) {
    throw new CodedError(
      "CARDTOOL_REFUSED",
      "Cannot diversify new keys: the card tells no diversification data",
    );
  }
  const keys = await keysFor(source, wish.kdd ?? new Uint8Array(10));
  try {
    const before = session.dryRun ? undefined : await readKeyVersions(session);
    if (before?.includes(newVersion) && replaceVersion !== newVersion) {
      throw new CodedError(
        "CARDTOOL_STATE",
        `Cannot put keys: the card has key version ${
          hexByte(newVersion)
        }; replace it, or give another --new-version`,
      );
    }
    begin({ kind: "put-keys", newVersion, before });
    const apdu = putKeyCommand({
      newVersion,
      keys,
      encryptWithDek: session.encryptWithDek,
      ...(replaceVersion === undefined ? {} : { replaceVersion }),
    });
    const answer = requireOk(
      "put keys",
      await session.send("put keys", { ...apdu, le: SHORT_LE_MAX }, { changes: true }),
    );
    if (!session.dryRun) verifyPutKeyAnswer(answer.data, newVersion, keys);
    return { version: newVersion, checkValues: checkValues(keys) };
  } finally {
    wipeKeys(keys);
  }
}

/** Deletes a key version through the open channel. @throws {CodedError} `CARDTOOL_REFUSED`. */
export async function deleteKeys(session: ToolSession, version: number, begin: Begin): Promise<void> {
  begin({ kind: "delete-keys", version });
  requireOk(
    "delete keys",
    await session.send("delete keys", deleteKeyVersionCommand(version), { changes: true }),
  );
}

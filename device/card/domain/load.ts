/** LOAD. GPC 2.3.1, 11.6. Blocks are gathered in volatile memory and become a package at the last one. */

import { equal } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { response, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { acceptLoadBlock } from "shared/protocol/gp/load_parser.ts";
import { PACKAGE_LOADED } from "../constants.ts";
import type { CardContext } from "../context.ts";
import { freeBytes } from "../memory.ts";
import { type UpgradeState, withUpgrade } from "../upgrade/phases.ts";
import { openUpgrade } from "../upgrade/session.ts";
import { dapRefusal } from "./dap.ts";
import { loadFileHash, readPackage } from "./load_file.ts";

/** The data of a success: no confirmation follows. GPC 2.3.1, 11.6.3.1. */
const NO_CONFIRMATION = Uint8Array.of(0);

const SHA256_LENGTH = 32;
/** Bytes of a load file around its content: tags and DAP blocks. */
const SIGNATURES_MAX = 1024;

/** A higher version; or, after recovery, the very package that was there: the only downgrade. */
function isAllowedInUpgrade(
  session: UpgradeState,
  version: { readonly major: number; readonly minor: number },
  sha256: Uint8Array,
): boolean {
  const { oldVersion } = session;
  const higher = version.major > oldVersion.major ||
    (version.major === oldVersion.major && version.minor > oldVersion.minor);
  return higher || (session.recovery && equal(session.oldSha256, sha256));
}

/** Executes LOAD; any refusal ends the load. */
export function load(context: CardContext, command: CommandApdu): ResponseApdu {
  const { series } = context.volatile;
  if (series?.kind !== "load") return response(SW.CONDITIONS_NOT_SATISFIED);
  const running = series.load;
  const { progress, step } = acceptLoadBlock(running.progress, command);
  // The card keeps the blocks, so it is full at the block that no longer fits; signatures do not stay.
  if (progress.bytes.length > freeBytes(context.state) + SIGNATURES_MAX) {
    context.volatile.series = null;
    return response(SW.NOT_ENOUGH_MEMORY);
  }
  if (step.kind === "more") {
    context.volatile.series = { kind: "load", load: { ...running, progress } };
    return response(SW.OK, NO_CONFIRMATION);
  }
  context.volatile.series = null;
  if (step.kind === "refuse") return response(step.sw);

  const content = step.file.loadFileDataBlock;
  const loaded = readPackage(content);
  if (loaded === undefined || !equal(loaded.packageAid, running.packageAid)) return response(SW.WRONG_DATA);
  if (content.length > freeBytes(context.state)) return response(SW.NOT_ENOUGH_MEMORY);
  const { hash } = running;
  if (hash.length > 0 && !equal(loadFileHash(content, hash.length), hash)) return response(SW.WRONG_DATA);
  const refused = dapRefusal(context.state, running.domain, step.file, hash);
  if (refused !== undefined) return response(refused);
  const session = openUpgrade(context.state);
  const sha256 = loadFileHash(content, SHA256_LENGTH);
  if (session !== undefined && !isAllowedInUpgrade(session, loaded.version, sha256)) {
    return response(SW.CONDITIONS_NOT_SATISFIED);
  }
  context.state = {
    ...withUpgrade(context.state, session === undefined ? {} : { status: "waiting-for-restore" }),
    packages: [...context.state.packages, {
      aid: loaded.packageAid,
      domain: running.domain,
      version: loaded.version,
      modules: loaded.modules,
      imports: loaded.imports,
      lifeCycle: PACKAGE_LOADED,
      size: content.length,
      sha256,
    }],
  };
  return response(SW.OK, NO_CONFIRMATION);
}

/** Loading, installing and deleting. Each tells what it is about before it changes anything, so that a failure can be explained. */

import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import type { CapFile } from "shared/protocol/cap/reader.ts";
import { deleteCommand } from "shared/protocol/gp/delete.ts";
import { installForInstall, installForLoad } from "shared/protocol/gp/install.ts";
import { type DapBlock, loadBlocks } from "shared/protocol/gp/load.ts";
import type { Intent } from "../../domain/card_tool/aftermath.ts";
import { instancesOf, type Registry, type RegistryRow, rowsOf } from "../../domain/card_tool/registry.ts";
import type { OpenedDomain } from "./open.ts";
import { readRegistry } from "./registry.ts";
import { requireOk, type ToolSession } from "./session.ts";

/** Told as soon as a change may have begun. */
export type Begin = (intent: Intent) => void;

/** A package to be loaded. */
export interface LoadWish {
  readonly cap: CapFile;
  /** Path as the person gave it, for the clean-up command. */
  readonly file: string;
  readonly dap?: DapBlock;
  /** Security domain that will own the package; absent: the selected one. */
  readonly owner?: Uint8Array;
  /** Delete a package that has this AID, with its applications, first. */
  readonly replace: boolean;
}

/** What a load came to. */
export interface Loaded {
  readonly packageAid: string;
  readonly blocks: number;
  /** AIDs that were deleted first. */
  readonly deleted: readonly string[];
}

function present(registry: Registry, aid: Uint8Array): RegistryRow | undefined {
  return rowsOf(registry).find((row) => row.aid === toHex(aid));
}

/**
 * Loads through the open channel.
 * @param known the registry, when it has just been read.
 * @throws {CodedError} `CARDTOOL_LOADED`, `CARDTOOL_REFUSED`, `GP_*`, `SCP03_*`.
 */
export async function loadPackage(
  session: ToolSession,
  opened: OpenedDomain,
  wish: LoadWish,
  begin: Begin,
  known?: Registry,
): Promise<Loaded> {
  const { cap } = wish;
  const packageAid = toHex(cap.packageAid);
  // Built first: a package that does not fit into 256 blocks must not cost the one that is there.
  const blocks = loadBlocks(cap.loadFileDataBlock, opened.dataMax, wish.dap === undefined ? [] : [wish.dap]);
  const registry = known ?? await readRegistry(session);
  const there = present(registry, cap.packageAid);
  const deleted: string[] = [];
  const intent = (deletedOld: boolean): Intent => ({ kind: "load", packageAid, file: wish.file, deletedOld });
  if (there !== undefined && !wish.replace) {
    throw new CodedError(
      "CARDTOOL_LOADED",
      `Cannot load ${packageAid}: the card has it${
        there.version === null ? "" : `, version ${there.version}`
      }`,
      { packageAid, version: there.version },
    );
  }
  if (there !== undefined || (session.dryRun && wish.replace)) {
    begin({ kind: "delete", aid: packageAid, related: true });
    const step = session.dryRun ? "delete the old package, if it is there" : "delete the old package";
    requireOk(
      step,
      await session.send(step, deleteCommand(cap.packageAid, { related: true }), { changes: true }),
    );
    deleted.push(packageAid);
  }
  begin(intent(deleted.length > 0));
  const first = installForLoad({
    packageAid: cap.packageAid,
    securityDomainAid: wish.owner ?? opened.selected.aid,
    // A card that verifies a DAP wants the hash that it signs; GPC 2.3.1, C.2.
    ...(wish.dap === undefined ? {} : { hash: cap.sha256 }),
  });
  requireOk(
    "begin to load",
    await session.send("begin to load (INSTALL [for load])", first, { changes: true }),
  );
  for (const [i, block] of blocks.entries()) {
    const step = `load block ${i + 1} of ${blocks.length}`;
    requireOk(step, await session.send(step, block, { changes: true }));
  }
  return { packageAid, blocks: blocks.length, deleted };
}

/** An instance to be made. */
export interface InstallWish {
  readonly packageAid: Uint8Array;
  readonly moduleAid: Uint8Array;
  readonly instanceAid: Uint8Array;
  readonly privileges: number;
  /** Value of tag C9. */
  readonly parameters?: Uint8Array;
  /** The package was loaded by this command. */
  readonly loadedHere: boolean;
}

/** The command of an installation, so that one that cannot be written is found before anything is loaded. @throws {CodedError} `GP_*`. */
export function installCommand(wish: Omit<InstallWish, "loadedHere">): CommandApdu {
  return installForInstall({
    packageAid: wish.packageAid,
    moduleAid: wish.moduleAid,
    instanceAid: wish.instanceAid,
    privileges: wish.privileges,
    ...(wish.parameters === undefined ? {} : { applicationParameters: wish.parameters }),
  });
}

/** Refuses an AID that something on the card has. @throws {CodedError} `CARDTOOL_INSTALLED`. */
export function requireFree(registry: Registry, aid: Uint8Array): void {
  const there = present(registry, aid);
  if (there === undefined) return;
  throw new CodedError(
    "CARDTOOL_INSTALLED",
    `Cannot install ${there.aid}: it is on the card, ${there.lifeCycle}`,
    {
      aid: there.aid,
    },
  );
}

/**
 * Installs and makes selectable through the open channel. The caller has asked `requireFree`.
 * @throws {CodedError} `CARDTOOL_REFUSED`.
 */
export async function installInstance(
  session: ToolSession,
  wish: InstallWish,
  begin: Begin,
): Promise<string> {
  const instanceAid = toHex(wish.instanceAid);
  const apdu = installCommand(wish);
  begin({
    kind: "install",
    packageAid: toHex(wish.packageAid),
    instanceAid,
    loadedHere: wish.loadedHere,
  });
  const step = `install ${instanceAid}`;
  requireOk(step, await session.send(step, apdu, { changes: true }));
  return instanceAid;
}

/** The one module of a package, or the one that was asked for. @throws {CodedError} `CARDTOOL_CAP_CHOICE`. */
export function chooseModule(cap: CapFile, asked: Uint8Array | undefined): Uint8Array {
  const names = cap.applets.map(toHex).join(", ") || "none: it is a library";
  const found = asked === undefined
    ? (cap.applets.length === 1 ? cap.applets[0] : undefined)
    : cap.applets.find((aid) => equal(aid, asked));
  if (found === undefined) {
    throw new CodedError("CARDTOOL_CAP_CHOICE", `Cannot choose a module: the package has ${names}`, {
      modules: cap.applets.map(toHex),
    });
  }
  return found;
}

/** Deletes through the open channel. @throws {CodedError} `CARDTOOL_NOT_THERE`, `CARDTOOL_REFUSED`. */
export async function deleteContent(
  session: ToolSession,
  aid: Uint8Array,
  related: boolean,
  begin: Begin,
): Promise<string> {
  const name = toHex(aid);
  const registry = await readRegistry(session);
  if (!session.dryRun && present(registry, aid) === undefined) {
    throw new CodedError("CARDTOOL_NOT_THERE", `Cannot delete ${name}: it is not in the card's registry`, {
      aid: name,
    });
  }
  const children = instancesOf(registry, name);
  if (children.length > 0 && !related) {
    throw new CodedError(
      "CARDTOOL_STATE",
      `Cannot delete package ${name}: ${children.join(", ")} come from it; --related deletes them too`,
      { aid: name, applications: children },
    );
  }
  begin({ kind: "delete", aid: name, related });
  const step = `delete ${name}`;
  requireOk(step, await session.send(step, deleteCommand(fromHex(name), { related }), { changes: true }));
  return name;
}

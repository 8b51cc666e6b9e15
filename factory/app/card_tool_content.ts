/** `rk card load | install | delete`. Wiring only. */

import { toHex } from "shared/base/bytes.ts";
import { type CapFile, readCap } from "shared/protocol/cap/reader.ts";
import { DAP_SIGNATURE_BYTES_MAX, parseDapFile } from "../domain/card_tool/dap_file.ts";
import { parsePrivileges } from "../domain/card_tool/names.ts";
import { packageName } from "../domain/card_tool/package_name.ts";
import { instancesOf, rowsOf } from "../domain/card_tool/registry.ts";
import {
  chooseModule,
  deleteContent,
  installCommand,
  installInstance,
  loadPackage,
  type LoadWish,
  requireFree,
} from "../service/card_tool/content.ts";
import { openDomain } from "../service/card_tool/open.ts";
import { readRegistry } from "../service/card_tool/registry.ts";
import { aidOption, type CardToolOptions, hexOption, usage } from "./card_tool_arguments.ts";
import { readFile } from "./card_tool_files.ts";
import type { CardToolResult, CardToolRun } from "./card_tool_run.ts";

/** Longest CAP file, in bytes: what `readCap` takes. */
const CAP_BYTES_MAX = 1024 * 1024;

/** What is in a CAP file, shown before anything is loaded. */
export function capReport(path: string, cap: CapFile) {
  return {
    file: path,
    name: packageName(cap) ?? path.replace(/^.*\//, "").replace(/\.cap$/i, ""),
    packageAid: toHex(cap.packageAid),
    version: `${cap.version.major}.${cap.version.minor}`,
    format: `${cap.format.major}.${cap.format.minor}`,
    modules: cap.applets.map(toHex),
    imports: cap.imports.map(({ aid, version }) => `${toHex(aid)} ${version.major}.${version.minor}`),
    bytes: cap.loadFileDataBlock.length,
    sha256: toHex(cap.sha256),
    fileSha256: toHex(cap.fileSha256),
    irregularities: cap.irregularities,
  };
}

function showCap(run: CardToolRun, path: string, cap: CapFile): ReturnType<typeof capReport> {
  const report = capReport(path, cap);
  run.say(`package   ${report.name}, ${report.packageAid}, version ${report.version}`);
  run.say(`modules   ${report.modules.join(", ") || "none: a library"}`);
  run.say(`content   ${report.bytes} bytes, SHA-256 ${report.sha256}`);
  run.say(`file      ${path}, SHA-256 ${report.fileSha256}`);
  if (report.irregularities.length > 0) {
    run.say(`warning   tag or size is wrong in ${report.irregularities.join(", ")}: the card may refuse it`);
  }
  run.say("");
  return report;
}

function loadWishOf(options: CardToolOptions, path: string, cap: CapFile): LoadWish {
  const owner = aidOption(options.sd, "--sd");
  const dapDomain = aidOption(options["dap-domain"], "--dap-domain") ?? owner ??
    aidOption(options.domain, "--domain");
  // JSON with the signature in hex, and some room for its other fields.
  const dapBytes = options.dap === undefined
    ? undefined
    : readFile(options.dap, "DAP", 4 * DAP_SIGNATURE_BYTES_MAX + 4096);
  return {
    cap,
    file: path,
    replace: options.replace ?? false,
    ...(owner === undefined ? {} : { owner }),
    ...(dapBytes === undefined ? {} : { dap: parseDapFile(dapBytes, dapDomain) }),
  };
}

/** `rk card load CAP`. */
export async function runLoad(run: CardToolRun): Promise<CardToolResult> {
  const path = run.words[1];
  if (path === undefined || run.words.length > 2) throw usage("Cannot load: give one CAP file");
  // Everything that can be wrong with files is found before the card is asked for anything.
  const cap = readCap(readFile(path, "CAP file", CAP_BYTES_MAX));
  const wish = loadWishOf(run.options, path, cap);
  const report = showCap(run, path, cap);
  const opened = await openDomain(run.session, run.wish);
  const loaded = await loadPackage(run.session, opened, wish, run.begin);
  return {
    report: { package: report, ...loaded, signed: wish.dap !== undefined },
    lines: [
      ...loaded.deleted.map((aid) => `deleted ${aid} and its applications`),
      `loaded ${loaded.packageAid} in ${loaded.blocks} blocks${
        wish.dap === undefined ? ", unsigned" : ", signed"
      }`,
    ],
  };
}

function instanceOptions(options: CardToolOptions) {
  const parameters = options.parameters === undefined
    ? undefined
    : hexOption(options.parameters, "--parameters");
  return {
    privileges: options.privileges === undefined ? 0 : parsePrivileges(options.privileges),
    ...(parameters === undefined ? {} : { parameters }),
  };
}

/** `rk card install [CAP]`: a module of a package on the card, or of a CAP file that is loaded when it is not there. */
export async function runInstall(run: CardToolRun): Promise<CardToolResult> {
  const { options, session } = run;
  const path = run.words[1];
  const module = aidOption(options.module, "--module");
  const aid = aidOption(options.aid, "--aid");
  const common = instanceOptions(options);
  if (path === undefined) {
    const packageAid = aidOption(options.package, "--package");
    if (packageAid === undefined || module === undefined) {
      throw usage("Cannot install: give a CAP file, or --package and --module");
    }
    const instanceWish = { packageAid, moduleAid: module, instanceAid: aid ?? module, ...common };
    installCommand(instanceWish);
    await openDomain(session, run.wish);
    requireFree(await readRegistry(session), instanceWish.instanceAid);
    const instance = await installInstance(session, { ...instanceWish, loadedHere: false }, run.begin);
    return { report: { instance, loaded: null }, lines: [`installed ${instance}`] };
  }
  const cap = readCap(readFile(path, "CAP file", CAP_BYTES_MAX));
  const moduleAid = chooseModule(cap, module);
  const wish = loadWishOf(options, path, cap);
  const report = showCap(run, path, cap);
  const instanceWish = { packageAid: cap.packageAid, moduleAid, instanceAid: aid ?? moduleAid, ...common };
  installCommand(instanceWish);
  const opened = await openDomain(session, run.wish);
  const registry = await readRegistry(session);
  // What --replace takes away with the old package makes room.
  const replaced = wish.replace ? instancesOf(registry, report.packageAid) : [];
  if (!replaced.includes(toHex(instanceWish.instanceAid))) requireFree(registry, instanceWish.instanceAid);
  const there = rowsOf(registry).some((row) => row.aid === report.packageAid);
  const loaded = there && !wish.replace
    ? null
    : await loadPackage(session, opened, wish, run.begin, registry);
  const instance = await installInstance(
    session,
    { ...instanceWish, loadedHere: loaded !== null },
    run.begin,
  );
  return {
    report: { package: report, loaded, instance },
    lines: [
      loaded === null
        ? `${report.packageAid} was on the card`
        : `loaded ${loaded.packageAid} in ${loaded.blocks} blocks`,
      `installed ${instance}`,
    ],
  };
}

/** `rk card delete AID`. */
export async function runDelete(run: CardToolRun): Promise<CardToolResult> {
  const aid = aidOption(run.words[1], "AID");
  if (aid === undefined || run.words.length > 2) throw usage("Cannot delete: give one AID");
  await openDomain(run.session, run.wish);
  const deleted = await deleteContent(run.session, aid, run.options.related ?? false, run.begin);
  return { report: { deleted }, lines: [`deleted ${deleted}`] };
}

/** Loading and installing: the SSD, the package, the applet, the SSD's keys. spec/card.md, section 7, step 3. */

import { equal, fromHex, toHex } from "shared/base/bytes.ts";
import { Secret } from "shared/base/secret.ts";
import type { ResponseApdu } from "shared/protocol/apdu/response.ts";
import { SW } from "shared/protocol/apdu/status_words.ts";
import { PRIVILEGE, SECURITY_DOMAIN_LIFE_CYCLE } from "shared/protocol/gp/constants.ts";
import {
  getStatusCommand,
  parseStatusEntries,
  type RegistryEntry,
  STATUS_SCOPE,
} from "shared/protocol/gp/get_status.ts";
import { installForExtradition, installForInstall, installForLoad } from "shared/protocol/gp/install.ts";
import { loadBlocks } from "shared/protocol/gp/load.ts";
import { putKeyCommand, verifyPutKeyAnswer } from "shared/protocol/gp/put_key.ts";
import type { StaticKeys } from "shared/protocol/scp03/keys.ts";
import { requireLoadable } from "../package/load_plan.ts";
import type { Profile } from "../profile.ts";
import { type Exchange, type Exchanges, known } from "./exchange.ts";
import type { CardContent, CardFacts } from "./facts.ts";

/** Whether the profile has anything installed by the factory. */
export function installsContent(profile: Profile): boolean {
  return profile.applet.state !== "instance" || profile.ssd === "install";
}

const NOTHING: CardContent = {
  packageLoaded: false,
  ssdInstalled: false,
  ssdKeyed: false,
  appletInstalled: false,
  appletDomain: undefined,
};

/** The entry with exactly this AID: cards list by prefix. */
function entryOf(answer: ResponseApdu, aid: string): RegistryEntry | undefined {
  if (answer.sw === SW.REFERENCED_DATA_NOT_FOUND) return undefined;
  return parseStatusEntries(answer.data).find((entry) => equal(entry.aid, fromHex(aid)));
}

function ask(
  scope: typeof STATUS_SCOPE.APPLICATIONS | typeof STATUS_SCOPE.LOAD_FILES,
  aid: string,
  name: string,
  learn: (entry: RegistryEntry | undefined) => Partial<CardContent>,
): Exchange {
  return {
    name: `read the registry for ${name}`,
    command: getStatusCommand(scope, fromHex(aid)),
    accept: [SW.OK, SW.MORE_DATA_AVAILABLE, SW.REFERENCED_DATA_NOT_FOUND],
    check: (answer, facts) => {
      facts.content = { ...(facts.content ?? NOTHING), ...learn(entryOf(answer, aid)) };
    },
  };
}

/** Reads what is on the card of what the profile wants there. */
export const readContent: Exchanges = (_facts, { aids, ssd }) => [
  ...(ssd === "none" ? [] : [
    ask(STATUS_SCOPE.APPLICATIONS, aids.ssdInstance, "the SSD", (entry) => ({
      ssdInstalled: entry !== undefined,
      ssdKeyed: entry !== undefined && (entry.lifeCycle & 0x0f) === SECURITY_DOMAIN_LIFE_CYCLE.PERSONALIZED,
    })),
  ]),
  ask(
    STATUS_SCOPE.LOAD_FILES,
    aids.appletPackage,
    "the package",
    (entry) => ({ packageLoaded: entry !== undefined }),
  ),
  ask(STATUS_SCOPE.APPLICATIONS, aids.appletInstance, "the applet", (entry) => ({
    appletInstalled: entry !== undefined,
    appletDomain: entry?.securityDomainAid === undefined ? undefined : toHex(entry.securityDomainAid),
  })),
];

/** INSTALL [for install and make selectable] of the SSD. */
export const installSsd: Exchanges = (_facts, { aids }) => [{
  name: "install the SSD",
  command: installForInstall({
    packageAid: fromHex(aids.ssdPackage),
    moduleAid: fromHex(aids.ssdModule),
    instanceAid: fromHex(aids.ssdInstance),
    privileges: PRIVILEGE.SECURITY_DOMAIN | PRIVILEGE.TRUSTED_PATH,
  }),
  check: (_answer, facts) => change(facts, { ssdInstalled: true }),
}];

/**
 * INSTALL [for load] and every LOAD block; a signed package comes with its hash and its DAP (GPC 2.3.1, 11.5.2.3.1, C.3).
 * The package belongs to the domain of the applet, and the applet with it.
 */
export const loadPackage: Exchanges = (facts, profile) => {
  const plan = known(facts.loadPlan, "the package");
  requireLoadable(plan, profile);
  const blocks = loadBlocks(plan.cap.loadFileDataBlock, profile.loadBlockSize, plan.dapBlocks);
  return [
    {
      name: "begin to load the package",
      command: installForLoad({
        packageAid: fromHex(profile.aids.appletPackage),
        securityDomainAid: fromHex(
          profile.personalizeThrough === "ssd" ? profile.aids.ssdInstance : profile.aids.isd,
        ),
        ...(plan.signer === null ? {} : { hash: plan.cap.sha256 }),
      }),
    },
    ...blocks.map((command, i): Exchange => ({
      name: `load block ${i + 1} of ${blocks.length} of the package`,
      command,
      ...(i === blocks.length - 1
        ? { check: (_answer, facts) => change(facts, { packageLoaded: true }) }
        : {}),
    })),
  ];
};

/** INSTALL [for install and make selectable] of the applet, then a look at where it belongs. */
export const installApplet: Exchanges = (_facts, { aids }) => [
  {
    name: "install the applet",
    command: installForInstall({
      packageAid: fromHex(aids.appletPackage),
      moduleAid: fromHex(aids.appletModule),
      instanceAid: fromHex(aids.appletInstance),
    }),
    check: (_answer, facts) => change(facts, { appletInstalled: true }),
  },
  ask(STATUS_SCOPE.APPLICATIONS, aids.appletInstance, "the applet", (entry) => ({
    appletInstalled: entry !== undefined,
    appletDomain: entry?.securityDomainAid === undefined ? undefined : toHex(entry.securityDomainAid),
  })),
];

/** INSTALL [for extradition] of an applet whose package came under another domain than the profile wants. */
export const associateApplet: Exchanges = (_facts, { aids }) => [{
  name: "give the applet to the SSD",
  command: installForExtradition({
    securityDomainAid: fromHex(aids.ssdInstance),
    aid: fromHex(aids.appletInstance),
  }),
  check: (_answer, facts) => change(facts, { appletDomain: aids.ssdInstance }),
}];

/** Key set of a profile as secrets; the caller wipes it. */
export function staticKeys(
  keys: { readonly enc: string; readonly mac: string; readonly dek: string },
): StaticKeys {
  return {
    enc: new Secret(fromHex(keys.enc)),
    mac: new Secret(fromHex(keys.mac)),
    dek: new Secret(fromHex(keys.dek)),
  };
}

/** PUT KEY of the wallet channel keys into the SSD; the card's check values are compared. */
export const putSsdKeys: Exchanges = (_facts, profile, tools) => {
  const { version, ...hex } = known(profile.ssdKeys ?? undefined, "the SSD's keys");
  const keys = staticKeys(hex);
  return [{
    name: "put the keys of the SSD",
    command: putKeyCommand({
      newVersion: version,
      replaceVersion: 0,
      keys,
      encryptWithDek: (data) => tools.encryptWithDek(data),
    }),
    check: (answer, facts) => {
      verifyPutKeyAnswer(answer.data, version, keys);
      change(facts, { ssdKeyed: true });
    },
  }];
};

function change(facts: CardFacts, change: Partial<CardContent>): void {
  facts.content = { ...(facts.content ?? NOTHING), ...change };
}

import assert from "node:assert/strict";
import { checkProfile } from "../profile.ts";
import { profileTemplate } from "../profile_template.ts";
import { CARD_FAILURES_MAX, decideFailure } from "./failure.ts";
import { decideStart, type KnownCard } from "./start.ts";
import { nextStep, STEPS, stepsOf } from "./steps.ts";
import type { CardFacts } from "./facts.ts";

const profile = checkProfile({ ...JSON.parse(profileTemplate("recovery-key")), anonymousChips: false });
const anonymous = { ...profile, anonymousChips: true };
const targetId = Uint8Array.of(0x33, 0x40, 0x00, 0x04);
const applet = (lifeCycle: number, serial = 5) => ({
  targetId,
  serial: Uint8Array.of(0, 0, 0, serial),
  version: { major: 1, minor: 0, patch: 0 },
  lifeCycle: lifeCycle as 0 | 1 | 2 | 3,
  transient: 0 as const,
});
const KNOWN: Record<string, KnownCard | undefined> = {
  nothing: undefined,
  open: { state: "open", serial: "00000005", reservation: "r", closed: false },
  good: { state: "good", serial: "00000005", reservation: "r", closed: true },
  untold: { state: "good", serial: "00000005", reservation: "r", closed: false },
  scrapped: { state: "scrapped", serial: "00000005", reservation: "r", closed: true },
};

/** Every life cycle x journal, card of the batch: what is decided for chips that can and cannot be told apart. */
const EXPECTED: readonly [lifeCycle: number | "none", known: string, distinct: string, anonymous: string][] =
  [
    ["none", "nothing", "begin", "begin"],
    ["none", "open", "begin", "begin"],
    ["none", "good", "CARD_STATE", "begin"],
    ["none", "untold", "CARD_STATE", "begin"],
    ["none", "scrapped", "CARD_SCRAPPED", "begin"],
    [0, "nothing", "begin", "begin"],
    [0, "open", "begin", "begin"],
    [0, "good", "CARD_STATE", "begin"],
    [0, "untold", "CARD_STATE", "begin"],
    [0, "scrapped", "CARD_SCRAPPED", "begin"],
    [1, "nothing", "ask", "CARD_STATE"],
    [1, "open", "continue", "continue"],
    [1, "good", "CARD_ALREADY_ATTESTED", "CARD_ALREADY_ATTESTED"],
    [1, "untold", "report", "report"],
    [1, "scrapped", "CARD_SCRAPPED", "CARD_SCRAPPED"],
    [2, "nothing", "ask", "CARD_ALREADY_ATTESTED"],
    [2, "open", "continue", "continue"],
    [2, "good", "CARD_ALREADY_ATTESTED", "CARD_ALREADY_ATTESTED"],
    [2, "untold", "report", "report"],
    [2, "scrapped", "CARD_SCRAPPED", "CARD_SCRAPPED"],
    ...["nothing", "open", "good", "untold", "scrapped"].map((
      known,
    ): [number, string, string, string] => [3, known, "CARD_IN_USE", "CARD_IN_USE"]),
  ];

Deno.test("decideStart() every life cycle with everything that the journal can know", () => {
  for (const [lifeCycle, known, distinctly, anonymously] of EXPECTED) {
    for (const [which, expected] of [[profile, distinctly], [anonymous, anonymously]] as const) {
      const decision = decideStart({
        profile: which,
        facts: { isdKeysReplaced: false, ...(lifeCycle === "none" ? {} : { applet: applet(lifeCycle) }) },
        known: KNOWN[known],
        blocked: undefined,
        firstSerial: "00000001",
        lastSerial: "00000010",
      });
      const got = decision.kind === "refuse" ? decision.code : decision.kind;
      assert.equal(
        got,
        expected,
        `life cycle ${lifeCycle}, journal ${known}, anonymous ${which.anonymousChips}`,
      );
    }
  }
});

Deno.test("decideStart() blocked, foreign serial, other target, thrown-away keys without a certificate", () => {
  const base = {
    profile,
    known: undefined,
    blocked: undefined,
    firstSerial: "00000001",
    lastSerial: "00000004",
  };
  const codeOf = (record: Parameters<typeof decideStart>[0]) => {
    const decision = decideStart(record);
    return decision.kind === "refuse" ? decision.code : decision.kind;
  };
  const facts = { isdKeysReplaced: false };
  assert.equal(codeOf({ ...base, facts, blocked: "SCP03_CARD_CRYPTOGRAM" }), "CARD_AUTHENTICATION_BLOCKED");
  assert.equal(codeOf({ ...base, facts: { ...facts, applet: applet(2) } }), "CARD_ALREADY_ATTESTED");
  assert.equal(
    codeOf({ ...base, facts: { ...facts, applet: { ...applet(0), targetId: new Uint8Array(4) } } }),
    "CARD_TARGET",
  );
  assert.equal(codeOf({ ...base, facts: { isdKeysReplaced: true } }), "CARD_STATE");
});

Deno.test("decideFailure() removal never counts, a card's fault counts, and the third in a row scraps", () => {
  for (let failures = 0; failures < 50; failures++) {
    assert.deepEqual(decideFailure("CARD_REMOVED", failures), { disposition: "again", counts: false });
  }
  assert.deepEqual(decideFailure("CARD_STATUS_WORD", 0), { disposition: "again", counts: true });
  assert.equal(decideFailure("CARD_STATUS_WORD", CARD_FAILURES_MAX - 1).disposition, "scrapped");
  assert.equal(decideFailure("CARD_SERIAL_MISMATCH", 0).disposition, "scrapped");
  assert.equal(decideFailure("PROFILE_CARD", 9).disposition, "refused");
  assert.equal(decideFailure("INTERNAL", 9).disposition, "station");
});

Deno.test("STEPS names are unique; a profile without content has no content steps", () => {
  assert.equal(new Set(STEPS.map(({ name }) => name)).size, STEPS.length);
  const names = stepsOf(checkProfile(JSON.parse(profileTemplate("test-card")))).map(({ name }) => name);
  assert.deepEqual(names, [
    "reserve",
    "personalize",
    "read-back",
    "create-key",
    "attest",
    "set-certificate",
    "test",
    "set-attested",
    "prove",
    "confirm",
    "close",
  ]);
});

Deno.test("nextStep() follows the card's state", () => {
  const facts = (change: Partial<CardFacts>): CardFacts => ({
    cplc: null,
    keyVersions: null,
    isdKeysReplaced: false,
    issuerPublicKey: new Uint8Array(65),
    cardMilliseconds: 0,
    ...change,
  });
  assert.equal(nextStep(facts({}), profile)?.name, "reserve");
  assert.equal(nextStep(facts({ applet: applet(1) }), profile)?.name, "test");
  assert.equal(nextStep(facts({ applet: applet(2) }), profile)?.name, "prove");
});

import assert from "node:assert/strict";
import { checkProfile } from "../profile.ts";
import { profileTemplate } from "../profile_template.ts";
import { CARD_FAILURES_MAX, decideFailure } from "./failure.ts";
import { RESUMPTION, STEP_NAMES } from "./resumption.ts";
import { decideStart, type KnownCard, LOST_AUTHENTICATIONS_MAX } from "./start.ts";
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
const SEEN = { attempts: 0, lifeCycle: 0 };
const KNOWN: Record<string, KnownCard | undefined> = {
  nothing: undefined,
  open: { state: "open", serial: "00000005", reservation: "r", closed: false, ...SEEN },
  good: { state: "good", serial: "00000005", reservation: "r", closed: true, ...SEEN },
  untold: { state: "good", serial: "00000005", reservation: "r", closed: false, ...SEEN },
  scrapped: { state: "scrapped", serial: "00000005", reservation: "r", closed: true, ...SEEN },
};

/** Every life cycle x journal, card of the batch: what is decided for chips that can and cannot be told apart. */
const EXPECTED: readonly [lifeCycle: number | "none", known: string, distinct: string, anonymous: string][] =
  [
    ["none", "nothing", "begin", "begin"],
    ["none", "open", "begin", "begin"],
    ["none", "good", "CARD_DUPLICATE", "begin"],
    ["none", "untold", "CARD_DUPLICATE", "begin"],
    ["none", "scrapped", "CARD_SCRAPPED", "begin"],
    [0, "nothing", "begin", "begin"],
    [0, "open", "begin", "begin"],
    [0, "good", "CARD_DUPLICATE", "begin"],
    [0, "untold", "CARD_DUPLICATE", "begin"],
    [0, "scrapped", "CARD_SCRAPPED", "begin"],
    [1, "nothing", "ask", "CARD_STATE"],
    [1, "open", "continue", "continue"],
    [1, "good", "CARD_DUPLICATE", "CARD_DUPLICATE"],
    [1, "untold", "CARD_DUPLICATE", "CARD_DUPLICATE"],
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
    assert.deepEqual(decideFailure("CARD_REMOVED", "read-back", failures), {
      disposition: "again",
      counts: false,
    });
  }
  assert.deepEqual(decideFailure("CARD_STATUS_WORD", "read-back", 0), { disposition: "again", counts: true });
  assert.equal(decideFailure("CARD_STATUS_WORD", "read-back", CARD_FAILURES_MAX - 1).disposition, "scrapped");
  assert.equal(decideFailure("CARD_SERIAL_MISMATCH", "read-back", 0).disposition, "scrapped");
  assert.equal(decideFailure("PROFILE_CARD", "read-back", 9).disposition, "refused");
  assert.equal(decideFailure("INTERNAL", "read-back", 9).disposition, "station");
});

Deno.test("decideFailure() scraps only where the step's row of the table says so", () => {
  assert.equal(decideFailure("CARD_SERIAL_MISMATCH", "look", 0).disposition, "again");
  assert.equal(decideFailure("CARD_STATUS_WORD", "authenticate", 50).disposition, "again");
  for (const [step, { scrap }] of Object.entries(RESUMPTION)) {
    for (const { on } of scrap) {
      const [code, failures] = on === "repeated"
        ? ["CARD_STATUS_WORD", CARD_FAILURES_MAX - 1] as const
        : [on, 0] as const;
      assert.equal(decideFailure(code, step, failures).disposition, "scrapped", `${on} at ${step}`);
    }
    // A tear is none of these, wherever and however often.
    for (
      const code of ["CARD_REMOVED", "CARD_NO_ANSWER", "CARD_TIMEOUT", "CARD_SWAPPED", "JOURNAL_UNUSABLE"]
    ) {
      assert.notEqual(decideFailure(code, step, 50).disposition, "scrapped", `${code} at ${step}`);
    }
  }
});

Deno.test("decideStart() a blank card whose chip was certified is a duplicate; lost authentications are not repeated for ever", () => {
  const record = {
    profile,
    facts: { isdKeysReplaced: false, applet: applet(0) },
    blocked: undefined,
    firstSerial: "00000001",
    lastSerial: "00000010",
  };
  const decide = (change: Partial<KnownCard>) => {
    const decision = decideStart({ ...record, known: { ...KNOWN["open"]!, ...change } });
    return decision.kind === "refuse" ? decision.code : decision.kind;
  };
  assert.equal(decide({ lifeCycle: 1 }), "CARD_DUPLICATE");
  assert.equal(decide({ attempts: LOST_AUTHENTICATIONS_MAX - 1 }), "begin");
  assert.equal(decide({ attempts: LOST_AUTHENTICATIONS_MAX }), "CARD_AUTHENTICATION_BLOCKED");
});

Deno.test("STEPS names are unique, each has its row and the rows stand in the steps' order; a profile without content has no content steps", () => {
  assert.deepEqual(["look", "authenticate", ...STEPS.map(({ name }) => name)], [...STEP_NAMES]);
  assert.deepEqual(Object.keys(RESUMPTION), [...STEP_NAMES]);
  const names = stepsOf(checkProfile(JSON.parse(profileTemplate("test-card")))).map(({ name }) => name);
  assert.deepEqual(names, [
    "reserve",
    "personalize",
    "read-back",
    "create-key",
    "attest",
    "set-certificate",
    "report-certificate",
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
    otherDiversificationData: new Map(),
    isdKeysReplaced: false,
    issuerPublicKey: new Uint8Array(65),
    cardMilliseconds: 0,
    ...change,
  });
  assert.equal(nextStep(facts({}), profile)?.name, "reserve");
  assert.equal(nextStep(facts({ applet: applet(1) }), profile)?.name, "test");
  assert.equal(nextStep(facts({ applet: applet(2) }), profile)?.name, "prove");
});

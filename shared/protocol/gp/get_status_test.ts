import { deepEqual, equal, ok, rejects, throws } from "node:assert/strict";
import fc from "fast-check";
import { concat, fromHex, toHex } from "shared/base/bytes.ts";
import { command } from "../apdu/command.ts";
import { response, type ResponseApdu } from "../apdu/response.ts";
import {
  encodeStatusEntry,
  getStatusCommand,
  listStatus,
  matchesSearch,
  parseGetStatus,
  parseStatusEntries,
  type RegistryEntry,
  STATUS_PAGES_MAX,
  STATUS_SCOPE,
} from "./get_status.ts";

const aid = () => fc.uint8Array({ minLength: 5, maxLength: 16 });
const byte = fc.integer({ min: 0, max: 255 });
const ENTRY: fc.Arbitrary<RegistryEntry> = fc.record({
  aid: aid(),
  lifeCycle: byte,
  privileges: fc.integer({ min: 0, max: 0xffffff }),
  implicitSelection: fc.array(byte, { minLength: 1, maxLength: 3 }),
  packageAid: aid(),
  version: fc.uint8Array({ minLength: 2, maxLength: 2 }),
  moduleAids: fc.array(aid(), { minLength: 1, maxLength: 4 }),
  securityDomainAid: aid(),
}, { requiredKeys: ["aid", "lifeCycle"], noNullPrototype: true });

Deno.test("parseStatusEntries() undoes encodeStatusEntry()", () => {
  fc.assert(fc.property(fc.array(ENTRY, { maxLength: 4 }), (entries) => {
    deepEqual(parseStatusEntries(concat(...entries.map(encodeStatusEntry))), entries);
  }));
});

Deno.test("parseStatusEntries() reads privileges of 1 byte too", () => {
  const [entry] = parseStatusEntries(fromHex("E3124F05A0000000019F700107C501FFCE020102"));
  equal(entry!.privileges, 0xff0000);
  equal(toHex(entry!.version!), "0102");
});

Deno.test("parseStatusEntries() reads or refuses with a code, whatever the bytes", () => {
  const entry = encodeStatusEntry({ aid: fromHex("A000000001"), lifeCycle: 7, privileges: 0 });
  fc.assert(
    fc.property(fc.nat(entry.length - 1), byte, (at, value) => {
      const data = entry.slice();
      data[at] = value;
      try {
        parseStatusEntries(data);
      } catch (error) {
        ok(/^(GP_|TLV_)/.test((error as { code: string }).code), String(error));
      }
    }),
    { numRuns: 1000 },
  );
  throws(() => parseStatusEntries(fromHex("E400")), { code: "GP_ANSWER" });
  throws(() => parseStatusEntries(fromHex("E300")), { code: "TLV_MISSING" });
  throws(() => parseStatusEntries(fromHex("E30A4F05A0000000019F7000")), { code: "GP_ANSWER" });
  throws(() => parseStatusEntries(fromHex("E30A4F04A00000019F700107")), { code: "GP_ANSWER" });
});

/** A card that answers pages in turn, and notes P2. */
function pages(...answers: ResponseApdu[]) {
  const p2: number[] = [];
  return {
    p2,
    send: (apdu: { p2: number }) => Promise.resolve(answers[p2.push(apdu.p2) - 1]!),
  };
}

Deno.test("listStatus() follows 6310 page after page", async () => {
  const one = { aid: fromHex("A000000001"), lifeCycle: 7 };
  const two = { aid: fromHex("A000000002"), lifeCycle: 7 };
  const card = pages(response(0x6310, encodeStatusEntry(one)), response(0x9000, encodeStatusEntry(two)));
  deepEqual(await listStatus(card.send, STATUS_SCOPE.APPLICATIONS), [one, two]);
  deepEqual(card.p2, [0x02, 0x03]);
});

Deno.test("listStatus() gives an empty list for 6A88, and refuses other status words", async () => {
  deepEqual(await listStatus(pages(response(0x6a88)).send, STATUS_SCOPE.LOAD_FILES), []);
  await rejects(listStatus(pages(response(0x6982)).send, STATUS_SCOPE.LOAD_FILES), {
    code: "GP_REFUSED",
    details: { sw: 0x6982 },
  });
  await rejects(listStatus(pages(response(0x6310), response(0x6a88)).send, STATUS_SCOPE.LOAD_FILES), {
    code: "GP_REFUSED",
  });
});

Deno.test("listStatus() gives up on a card that never ends", async () => {
  let sent = 0;
  const send = () => {
    sent++;
    return Promise.resolve(response(0x6310));
  };
  await rejects(listStatus(send, STATUS_SCOPE.APPLICATIONS), { code: "GP_ANSWER" });
  equal(sent, STATUS_PAGES_MAX);
});

Deno.test("parseGetStatus() undoes getStatusCommand(), and refuses other parameters", () => {
  const search = fromHex("A000000001");
  deepEqual(parseGetStatus(getStatusCommand(STATUS_SCOPE.APPLICATIONS, search, true)), {
    scope: 0x40,
    aid: search,
    next: true,
  });
  equal(parseGetStatus(command(0x80, 0xf2, 0x01, 0x02, fromHex("4F00"))), undefined);
  equal(parseGetStatus(command(0x80, 0xf2, 0x40, 0x00, fromHex("4F00"))), undefined);
  throws(() => parseGetStatus(command(0x80, 0xf2, 0x40, 0x02)), { code: "TLV_MISSING" });
  throws(() => parseGetStatus(command(0x80, 0xf2, 0x40, 0x02, concat(fromHex("4F11"), new Uint8Array(17)))), {
    code: "GP_COMMAND",
  });
});

Deno.test("matchesSearch() takes equal AIDs and beginnings", () => {
  const entry = fromHex("A00000000102");
  equal(matchesSearch(entry, new Uint8Array(0)), true);
  equal(matchesSearch(entry, fromHex("A0000000")), true);
  equal(matchesSearch(entry, entry), true);
  equal(matchesSearch(entry, fromHex("A0000000010203")), false);
  equal(matchesSearch(entry, fromHex("A1")), false);
});

/** The pages for the line say what the program does: every step of the table, every code that an operator can meet. */

import assert from "node:assert/strict";
import { REPOSITORY } from "cli/home.ts";
import { PERSONALIZATION_ERRORS } from "factory/domain/personalization/errors.ts";
import { DEFAULT_LINE_LIMITS } from "factory/domain/judgement/line.ts";
import { errorTable } from "shared/base/errors.ts";
import "factory/transport/journal/sqlite.ts";
import "factory/service/station/service_clock.ts";
import { withSection } from "./resumption_page.ts";

const read = (path: string) => Deno.readTextFile(`${REPOSITORY}/${path}`);

Deno.test("docs/resumption.md is the table that the engine walks", async () => {
  const page = await read("docs/resumption.md");
  assert.equal(
    page,
    withSection(page),
    "the table was changed: deno run --allow-read --allow-write tests/docs/resumption_page.ts",
  );
});

Deno.test("docs/operations/line.md names every code of the line, and the limits that it quotes are the defaults", async () => {
  const page = await read("docs/operations/line.md");
  const own = [...errorTable().keys()].filter((code) => /^(JOURNAL|LINE)_|^STATION_CLOCK$/.test(code));
  assert.ok(own.length >= 5, own.join());
  for (const code of [...Object.keys(PERSONALIZATION_ERRORS), ...own]) {
    assert.ok(page.includes(`\`${code}\``), `${code} is not explained`);
  }
  const { reader, station } = DEFAULT_LINE_LIMITS;
  assert.ok(
    page.includes(`after ${reader.scrappedInRow} scrapped`) &&
      page.includes(`below ${reader.yieldPercent} good`),
  );
  const ofStation =
    `station after ${station.scrappedInRow}, or below ${station.yieldPercent} (once ${station.yieldAfterCards}`;
  assert.ok(page.includes(ofStation), ofStation);
});

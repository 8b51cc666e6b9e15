/** Documentation that stays true: commands exist, links lead somewhere, the tests that a promise names are there. */

import assert from "node:assert/strict";
import type { Command } from "commander";
import { filesBelow } from "cli/checks/files.ts";
import { REPOSITORY } from "cli/home.ts";
import { exitCodesHelp, program } from "cli/main.ts";

const PAGES = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CHANGELOG.md"];

async function pages(): Promise<{ path: string; text: string }[]> {
  const docs = await filesBelow("docs", (name) => name.endsWith(".md"));
  return await Promise.all(
    [...PAGES, ...docs].map(async (path) => ({
      path,
      text: await Deno.readTextFile(`${REPOSITORY}/${path}`),
    })),
  );
}

/** Command lines that begin with `rk` in fenced shell blocks, comments taken off. */
function commandLines(text: string): string[] {
  return [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap((block) => block[1]!.split("\n"))
    .map((line) => line.replace(/\s+#.*$/, "").trim())
    .filter((line) => /^(\.\/)?rk\b/.test(line));
}

/** What is wrong with a documented command line, or undefined. `a | b` documents alternatives. */
function wrong(line: string, root: Command): string | undefined {
  const words = line.replace(/^(\.\/)?rk\b/, "").replace(/>.*$/, "").trim().split(/\s+/).filter(Boolean);
  let command = root;
  let isValue = false;
  for (const word of words) {
    if (isValue) {
      isValue = false;
      continue;
    }
    if (word === "|" || word === "help") continue;
    if (word.startsWith("--")) {
      // A noun whose default verb is left out has that verb's options.
      const option = [command, ...command.commands].flatMap(({ options }) => options)
        .find(({ long }) => long === word);
      if (!option) return `${command.name()} has no option ${word}`;
      isValue = option.required || option.optional;
      continue;
    }
    const next = command.commands.find((each) => each.name() === word);
    if (next) command = next;
    else if (
      command.commands.length > 0 && command.registeredArguments.length === 0 && command.options.length < 2
    ) {
      const sibling = command.parent?.commands.some((each) => each.name() === word);
      if (!sibling) return `${command.name()} has no command ${word}`;
    }
  }
  return undefined;
}

Deno.test("documented commands and their options exist", async () => {
  let seen = 0;
  for (const { path, text } of await pages()) {
    for (const line of commandLines(text)) {
      seen++;
      if (/\b(start \| stop|help \|)/.test(line)) continue;
      assert.equal(wrong(line, program()), undefined, `${path}: ${line}`);
    }
  }
  assert.ok(seen >= 10, `${seen} command lines`);
  assert.match(wrong("rk station fly", program()) ?? "", /no command fly/);
  assert.match(wrong("rk station run --wings", program()) ?? "", /no option --wings/);
});

Deno.test("links and named paths lead to something", async () => {
  for (const { path, text } of await pages()) {
    const folder = path.includes("/") ? path.replace(/\/[^/]*$/, "") : ".";
    for (const [, target] of text.matchAll(/\]\(([^)#]+?)(?:#[^)]*)?\)/g)) {
      if (/^https?:/.test(target!)) continue;
      await Deno.stat(`${REPOSITORY}/${folder}/${target}`).catch(() => assert.fail(`${path}: ${target}`));
    }
    for (const [, target] of text.matchAll(/`((?:shared|gateway|factory|device|tests|cli)\/[\w./]+)`/g)) {
      await Deno.stat(`${REPOSITORY}/${target}`).catch(() => assert.fail(`${path}: ${target}`));
    }
  }
});

Deno.test("every command says what it is for", () => {
  const visit = (command: Command) => {
    assert.ok(command.description().length > 10, `rk ${command.name()} has no description`);
    command.commands.forEach(visit);
  };
  program().commands.filter((command) => command.name() !== "complete").forEach(visit);
});

Deno.test("rk help exit-codes names every fault and every code with what to do", () => {
  const text = exitCodesHelp();
  for (
    const code of ["SCP03_CARD_CRYPTOGRAM", "HSM_UNAVAILABLE", "CARD_REMOVED", "ATTESTATION_UNREACHABLE"]
  ) {
    assert.match(text, new RegExp(`${code} +\\d  \\S`));
  }
});

/** The generated section of docs/resumption.md, from the table that the engine walks. */

import { RESUMPTION, STEP_NAMES } from "factory/domain/personalization/resumption.ts";

/** Marks around the generated section. */
export const BEGIN = "<!-- generated from factory/domain/personalization/resumption.ts: begin -->";
/** The end of it. */
export const END = "<!-- generated: end -->";

const DURABLE = { before: "before the first command", answer: "the answer, before it is looked at" } as const;

/** One section for each step, in order. */
export function resumptionSection(): string {
  const overview = [
    "| step | on disk first | may scrap a card |",
    "|---|---|---|",
    ...STEP_NAMES.map((name) => {
      const { durable, scrap } = RESUMPTION[name];
      const codes = scrap.map(({ on }) => on === "repeated" ? "repeated" : `\`${on}\``).join(", ");
      return `| [${name}](#${name}) | ${durable === undefined ? "" : DURABLE[durable]} | ${
        codes || "never"
      } |`;
    }),
  ];
  const sections = STEP_NAMES.map((name) => {
    const { card, journal, next, torn, scrap } = RESUMPTION[name];
    return [
      `### ${name}`,
      "",
      `- **The card tells:** ${card}`,
      `- **The journal holds:** ${journal}`,
      `- **What to do next:** ${next}`,
      `- **A tear leaves:** ${torn}`,
      `- **Scrapped only when:** ${
        scrap.length === 0 ? "never." : scrap.map(({ on, why }) => `\`${on}\`: ${why}`).join("; ") + "."
      }`,
    ].join("\n");
  });
  return [overview.join("\n"), ...sections].join("\n\n");
}

/** A page whose generated section is made anew. */
export function withSection(page: string): string {
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from < 0 || to < from) throw new Error("Cannot find the generated section: its marks are missing");
  return `${page.slice(0, from)}${BEGIN}\n\n${resumptionSection()}\n\n${page.slice(to)}`;
}

if (import.meta.main) {
  const path = new URL("../../docs/resumption.md", import.meta.url);
  await Deno.writeTextFile(path, withSection(await Deno.readTextFile(path)));
}

/** `rk reader list`: the PC/SC readers and what lies on them. */

import type { Command } from "commander";
import { toHex } from "shared/base/bytes.ts";
import { openPcsc } from "shared/transport/pcsc/service.ts";
import { action, type CommonOptions, result, say } from "../output.ts";

/** Registers the command. */
export function registerReader(program: Command): void {
  program.command("reader").description("PC/SC readers").command("list")
    .description("name the readers that are connected, and the cards on them")
    .option("--json", "the last line is one JSON object")
    .action(action(async (options: CommonOptions) => {
      const service = await openPcsc();
      try {
        const readers = await service.readers();
        const cards = new Map<string, string>();
        const stop = new AbortController();
        let seen = 0;
        // `watch` begins with the present state: one event for each reader, and one for each card.
        const timer = setTimeout(() => stop.abort(), 1000);
        for await (const event of service.watch(stop.signal)) {
          if (event.kind === "reader-added") seen++;
          if (event.kind === "card-inserted") cards.set(event.reader, toHex(event.atr));
          if (seen >= readers.length && cards.size === readers.length) break;
        }
        clearTimeout(timer);
        stop.abort();
        const rows = readers.map((name) => ({ name, atr: cards.get(name) ?? null }));
        for (const { name, atr } of rows) say(options, `${name}${atr ? `   card, ATR ${atr}` : "   empty"}`);
        if (rows.length === 0) say(options, "no reader is connected");
        result(options, { readers: rows });
      } finally {
        await service.close();
      }
    }));
}

/** Shows a station on a terminal, or as plain lines where there is none. */

import process from "node:process";
import { errorRow } from "shared/base/errors.ts";
import type { EventSink, StationEvent } from "../../service/station/events.ts";
import { packageLine } from "../../service/station/package_announcement.ts";
import { afterEvent, EMPTY_VIEW } from "./model.ts";
import { footer, printable, renderStation } from "./render.ts";

/** Shortest time between two pictures, in milliseconds. */
const FRAME_MS = 80;

/** A screen. */
export interface StationScreen {
  readonly sink: EventSink;
  /** Whether it is drawn over and over, with a person before it. */
  readonly live: boolean;
  /** Leaves the last picture. */
  close(): void;
}

/** A screen that is drawn over and over: standard output must be a terminal. */
export async function liveScreen(options: { readonly color: boolean }): Promise<StationScreen> {
  // Loaded only where there is a terminal: it asks for a dozen environment variables as soon as it is loaded.
  const { createLogUpdate } = await import("log-update");
  const update = createLogUpdate(process.stdout, { showCursor: false });
  let view = EMPTY_VIEW;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const draw = () => {
    timer = undefined;
    const { columns = 80, rows = 24 } = process.stdout;
    update(renderStation(view, { columns, rows, color: options.color }));
  };
  // Lines of a terminal that changed its width are broken anew: what stands there is wiped.
  const resized = () => {
    update.clear();
    timer ??= setTimeout(draw, FRAME_MS);
  };
  process.stdout.on("resize", resized);
  return {
    live: true,
    sink: (event) => {
      view = afterEvent(view, event, performance.now());
      timer ??= setTimeout(draw, FRAME_MS);
    },
    close: () => {
      process.stdout.off("resize", resized);
      clearTimeout(timer);
      draw();
      update.done();
    },
  };
}

/** The line of an event; undefined for those that would only fill the page. */
export function plainLine(event: StationEvent): string | undefined {
  return lineOf(event)?.split("\n").map(printable).join("\n");
}

function lineOf(event: StationEvent): string | undefined {
  switch (event.event) {
    case "ready":
      return `batch ${event.batch}: ready, readers: ${event.readers.join(", ") || "none yet"}`;
    case "package":
      return packageLine(event.package);
    case "unfinished":
      return `${event.cards.length} cards of earlier runs are unfinished: present them again`;
    case "card": {
      const { card } = event;
      const time = `${(card.milliseconds / 1000).toFixed(1)} s, ${card.apdus} APDUs`;
      return card.outcome === "attested"
        ? `${card.reader}: DONE serial ${card.serial} (${time})`
        : `${card.reader}: ${card.outcome.toUpperCase()} ${
          card.serial === null ? "" : `serial ${card.serial} `
        }at ${card.step}: ${card.message} [${card.reason}]\n    ${card.next ?? ""}`;
    }
    case "stopped":
      return `STOPPED ${event.reader ?? "the whole station"}: ${event.reason} [${event.code}]\n    ${
        errorRow(event.code).next
      }`;
    case "resumed":
      return `${event.reader ?? "the whole station"}: goes on, says ${event.operator}`;
    case "waiting":
      return `${event.reader}: waiting for the attestation service (${event.seconds} s): leave the card. ${event.message}`;
    case "failover":
      return `gateway ${event.gateway}: ${event.reason}; using the other one`;
    case "warning":
      return `warning ${event.code}: ${event.message}`;
    case "service-lost":
      return "the reader service is gone; waiting for it";
    case "service-restored":
      return "the reader service is back";
    case "reader-added":
    case "reader-removed":
    case "card-inserted":
    case "card-removed":
    case "step":
      return undefined;
  }
}

/** One line for each thing that matters. */
export function plainScreen(write: (line: string) => void): StationScreen {
  let view = EMPTY_VIEW;
  return {
    live: false,
    sink: (event) => {
      view = afterEvent(view, event, performance.now());
      const line = plainLine(event);
      if (line !== undefined) write(line);
    },
    close: () => write(footer(view)),
  };
}

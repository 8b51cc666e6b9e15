/** Prometheus metrics of a witness. Labels are configured origins, statuses and codes: nothing that a sender chooses. */

import { Counter, Gauge, Registry } from "prom-client";
import type { WitnessEvent } from "./witness.ts";

/** The metrics. */
export interface WitnessMetrics {
  readonly registry: Registry;
  /** Counts an answer or a contradiction. */
  observe(event: WitnessEvent): void;
}

/** Makes the metrics of one process. @param evidenceFiles how many files are kept now. */
export function witnessMetrics(evidenceFiles: () => number): WitnessMetrics {
  const registry = new Registry();
  const registers = [registry];
  const answers = new Counter({
    name: "witness_answers_total",
    help: "Answers to add-checkpoint by log (empty when it is unknown), status and reason.",
    labelNames: ["origin", "status", "reason"],
    registers,
  });
  const evidence = new Counter({
    name: "witness_evidence_total",
    help:
      "Contradictions found, by log and kind; more than zero of two-roots or other-history means that a log forked.",
    labelNames: ["origin", "kind"],
    registers,
  });
  new Gauge({
    name: "witness_evidence_files",
    help: "Evidence files kept.",
    registers,
    collect() {
      this.set(evidenceFiles());
    },
  });
  return {
    registry,
    observe(event) {
      if (event.kind === "answer") {
        answers.inc({ origin: event.origin, status: String(event.status), reason: event.reason });
      } else evidence.inc({ origin: event.origin, kind: event.evidence });
    },
  };
}

import assert from "node:assert/strict";
import { Counter, Histogram, Registry } from "prom-client";
import { Durations } from "./durations.ts";
import { Tally } from "./tally.ts";

Deno.test("Durations and Tally say what prom-client's own metrics say", async () => {
  const bounds = [0.01, 0.1, 1];
  const [ours, theirs] = [new Registry(), new Registry()];
  const durations = new Durations({ name: "seconds", help: "h", label: "route", bounds }, ours);
  const tally = new Tally("requests_total", "h", ["route", "status"], ours);
  const histogram = new Histogram({
    name: "seconds",
    help: "h",
    labelNames: ["route"],
    buckets: bounds,
    registers: [theirs],
  });
  const labelNames = ["route", "status"];
  const counter = new Counter({ name: "requests_total", help: "h", labelNames, registers: [theirs] });
  const seen = [["a", "200", 0], ["b", "503", 0.01], ["a", "200", 0.5], ["a", "404", 7], [
    "b",
    "200",
    1,
  ]] as const;
  for (const round of [1, 2]) {
    for (const [route, status, seconds] of seen) {
      durations.add(route, seconds);
      histogram.observe({ route }, seconds);
      tally.add(route, status);
      counter.inc({ route, status });
    }
    const lines = async (registry: Registry) => (await registry.metrics()).split("\n").sort();
    assert.deepEqual(await lines(ours), await lines(theirs), `scrape ${round}`);
  }
});

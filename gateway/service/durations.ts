/** A Prometheus histogram that every request adds to: prom-client's own puts labels together and looks them up with each of them. */

import { Histogram, type MetricValueWithName, type Registry } from "prom-client";

interface Series {
  /** One for each bound, and one for what is above all of them. */
  readonly counts: Float64Array;
  sum: number;
}

/** What the registry makes text of. */
interface HistogramText {
  readonly name: string;
  readonly help: string;
  readonly type: "histogram";
  readonly aggregator: "sum";
  readonly values: readonly MetricValueWithName<string>[];
}

/** Times in seconds with one label of few values. */
export class Durations extends Histogram<string> {
  readonly #series = new Map<string, Series>();

  /** @param bounds Upper bounds of the buckets in seconds, ascending. */
  constructor(
    readonly of: {
      readonly name: string;
      readonly help: string;
      readonly label: string;
      readonly bounds: readonly number[];
    },
    registry: Registry,
  ) {
    super({
      name: of.name,
      help: of.help,
      labelNames: [of.label],
      buckets: [...of.bounds],
      registers: [registry],
    });
  }

  /** One took so long. */
  add(value: string, seconds: number): void {
    let series = this.#series.get(value);
    if (series === undefined) {
      series = { counts: new Float64Array(this.of.bounds.length + 1), sum: 0 };
      this.#series.set(value, series);
    }
    let at = 0;
    while (at < this.of.bounds.length && seconds > this.of.bounds[at]!) at++;
    series.counts[at]!++;
    series.sum += seconds;
  }

  /**
   * What Prometheus gets: buckets that include those below them. Under this name the registry asks every histogram, although
   * prom-client's declarations do not say so; a test compares what comes out with prom-client's own.
   */
  getForPromString(): Promise<HistogramText> {
    const { name, help, label, bounds } = this.of;
    const values: MetricValueWithName<string>[] = [];
    for (const [value, { counts, sum }] of this.#series) {
      const labels = { [label]: value };
      let below = 0;
      for (const [i, count] of counts.entries()) {
        below += count;
        values.push({
          metricName: `${name}_bucket`,
          labels: { le: bounds[i] ?? "+Inf", ...labels },
          value: below,
        });
      }
      values.push({ metricName: `${name}_sum`, labels, value: sum });
      values.push({ metricName: `${name}_count`, labels, value: below });
    }
    return Promise.resolve({ name, help, type: "histogram", aggregator: "sum", values });
  }
}

/** Tables of words and figures on a terminal. */

/** One row, as many cells as there are columns. */
export type Row = readonly (string | number)[];

/** Lines of a table; figures stand to the right. */
export function table(columns: readonly string[], rows: readonly Row[]): string[] {
  const widths = columns.map((name, i) =>
    Math.max(name.length, ...rows.map((row) => String(row[i] ?? "").length))
  );
  const right = columns.map((_, i) =>
    i > 0 && rows.every((row) => !/[A-Za-z]{2}/.test(String(row[i] ?? "")))
  );
  const line = (cells: Row) =>
    cells.map((cell, i) => right[i] ? String(cell).padStart(widths[i]!) : String(cell).padEnd(widths[i]!))
      .join("  ").trimEnd();
  return [line(columns), ...rows.map(line)];
}

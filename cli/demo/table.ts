/** Plain tables for terminals. */

/** Aligns columns; the first row is the heading. Numbers are right-aligned. */
export function table(rows: readonly (readonly (string | number)[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => widths[i] = Math.max(widths[i] ?? 0, String(cell).length));
  const line = (row: readonly (string | number)[]) =>
    row.map((cell, i) => {
      const text = String(cell);
      return typeof cell === "number" ? text.padStart(widths[i]!) : text.padEnd(widths[i]!);
    }).join("  ").trimEnd();
  const [heading, ...body] = rows;
  return [line(heading ?? []), widths.map((width) => "-".repeat(width)).join("  "), ...body.map(line)].join(
    "\n",
  );
}

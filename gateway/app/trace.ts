/** Trace contexts of our own: one from outside is not trusted (W3C Trace Context, 3.2). */

/** Random bytes for this many identifiers are drawn at once: each draw is a call into the runtime. */
const DRAWN_AT_ONCE = 256;
/** Trace id (16 bytes) and span id (8 bytes). */
const BYTES = 24;

let drawn = "";
let used = 0;

/** Draws 24 bytes, as 48 hexadecimal digits. They are identifiers, no secrets. */
function draw(): string {
  if (used === drawn.length) {
    drawn = crypto.getRandomValues(new Uint8Array(BYTES * DRAWN_AT_ONCE)).toHex();
    used = 0;
  }
  return drawn.slice(used, used += BYTES * 2);
}

/** A `traceparent` with new identifiers. */
export function newTraceparent(): string {
  const digits = draw();
  return `00-${digits.slice(0, 32)}-${digits.slice(32)}-01`;
}

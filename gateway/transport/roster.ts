/**
 * What comes and goes all the time (connections, deadlines), held in a list in which each member knows its place.
 *
 * A `Map` or `Set` in its place makes a new table every few dozen members, and the engine's quick collection takes each old table,
 * with all that stood in it when it was left, for something in use: requests and connections outlived their youth that way, and
 * the pauses for them were the longest of all.
 */

/** A member's place. */
export interface Seat<T> {
  /** Undefined: it has left. What has left must not keep anything in memory. */
  readonly member: T | undefined;
}

interface Held<T> extends Seat<T> {
  member: T | undefined;
  place: number;
}

/** Those who are there, in no order. */
export class Roster<T> {
  readonly #held: Held<T>[] = [];

  get size(): number {
    return this.#held.length;
  }

  /** Takes somebody in. */
  add(member: T): Seat<T> {
    const seat: Held<T> = { member, place: this.#held.length };
    this.#held.push(seat);
    return seat;
  }

  /** Lets somebody go; undefined when that happened already. */
  leave(seat: Seat<T>): T | undefined {
    const held = seat as Held<T>;
    const { member, place } = held;
    if (member === undefined || this.#held[place] !== held) return undefined;
    held.member = undefined;
    const last = this.#held.pop()!;
    if (last !== held) {
      this.#held[place] = last;
      last.place = place;
    }
    return member;
  }

  /** All of now: who comes or goes meanwhile changes nothing in this list. */
  seats(): Seat<T>[] {
    return [...this.#held];
  }

  /** Everybody of now who is still there when their turn comes. */
  *members(): Generator<T> {
    for (const { member } of this.seats()) if (member !== undefined) yield member;
  }
}

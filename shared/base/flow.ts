/** State machines as data: an event that is not in the table is refused. */

/** A transition table: state -> event -> next state. */
export type Transitions<S extends string, E extends string> = Readonly<
  Record<S, Readonly<Partial<Record<E, S>>>>
>;

/** A state machine over a table. */
export interface Flow<S extends string, E extends string> {
  /** The table itself, for docs and exhaustive tests. */
  readonly table: Transitions<S, E>;
  /** The next state, or undefined when the event is refused in this state. */
  next(state: S, event: E): S | undefined;
}

/** Declares a flow. */
export function flow<S extends string, E extends string>(table: Transitions<S, E>): Flow<S, E> {
  return { table, next: (state, event) => table[state][event] };
}

/**
 * Whoever waits for an event of one message. There are thousands of messages a second, and one or two who wait for each of them: the
 * runtime's EventEmitter makes a table of names for each message, and a list that grows makes room for sixteen.
 */

/** Nobody, or those who were added, in order. A list is never changed: who is told may add and remove. */
export type Listeners = readonly (() => void)[] | undefined;

/** The list with one more. */
export function listenersWith(listeners: Listeners, listener: () => void): Listeners {
  return listeners === undefined ? [listener] : [...listeners, listener];
}

/** The list without one of its members; as it was when it is none. */
export function listenersWithout(listeners: Listeners, listener: () => void): Listeners {
  if (listeners === undefined || !listeners.includes(listener)) return listeners;
  return listeners.length === 1 ? undefined : listeners.toSpliced(listeners.indexOf(listener), 1);
}

/** Tells all of them. */
export function tell(listeners: Listeners): void {
  if (listeners === undefined) return;
  for (const listener of listeners) listener();
}

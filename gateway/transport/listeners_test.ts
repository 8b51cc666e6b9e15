import assert from "node:assert/strict";
import { type Listeners, listenersWith, listenersWithout, tell } from "./listeners.ts";

Deno.test("listeners are told in order, each as often as it was added", () => {
  const told: string[] = [];
  const [a, b] = [() => void told.push("a"), () => void told.push("b")];
  tell(undefined);
  tell(listenersWith(listenersWith(listenersWith(undefined, a), b), a));
  assert.deepEqual(told, ["a", "b", "a"]);
});

Deno.test("listenersWithout() takes one away, and nothing else", () => {
  const [a, b, c] = [() => {}, () => {}, () => {}];
  const both = listenersWith(listenersWith(undefined, a), b);
  assert.deepEqual(listenersWithout(both, a), [b]);
  assert.equal(listenersWithout(both, c), both);
  assert.equal(listenersWithout(listenersWith(undefined, a), a), undefined);
  assert.equal(listenersWithout(undefined, a), undefined);
  assert.deepEqual(listenersWithout(listenersWith(both, a), a), [b, a]);
});

Deno.test("listeners may come and go while they are told", () => {
  let listeners: Listeners;
  let later = 0;
  const other = () => void later++;
  listeners = listenersWith(listeners, () => {
    listeners = listenersWithout(listeners, other);
    listeners = listenersWith(listeners, () => void (later += 100));
  });
  listeners = listenersWith(listeners, other);
  tell(listeners);
  assert.equal(later, 1, "those who were there when it happened");
});

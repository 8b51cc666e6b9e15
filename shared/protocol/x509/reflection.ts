/**
 * The four metadata functions that tsyringe (inside `@peculiar/x509`) expects on `Reflect`: a store of
 * facts by class and key. Nothing else here uses them; a full polyfill that is loaded first is left alone.
 */

type Facts = Map<unknown, unknown>;
const store = new WeakMap<object, Facts>();

function getOwnMetadata(key: unknown, target: object): unknown {
  return store.get(target)?.get(key);
}

function getMetadata(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Object.getPrototypeOf(at)) {
    const facts = store.get(at);
    if (facts?.has(key)) return facts.get(key);
  }
  return undefined;
}

function defineMetadata(key: unknown, value: unknown, target: object): void {
  let facts = store.get(target);
  if (facts === undefined) store.set(target, facts = new Map());
  facts.set(key, value);
}

function metadata(key: unknown, value: unknown): (target: object) => void {
  return (target) => defineMetadata(key, value, target);
}

if (!("getMetadata" in Reflect)) {
  Object.assign(Reflect, { getOwnMetadata, getMetadata, defineMetadata, metadata });
}

/**
 * Loads the library's models without showing them this process's environment: a package that they use reads it while it loads,
 * and no process of ours should need leave for that.
 */

import process from "node:process";

/** Runs `load` while the environment looks empty to packages. Loading only: nothing else of ours runs meanwhile. */
export async function withoutEnvironment<T>(load: () => Promise<T>): Promise<T> {
  const environment = process.env;
  process.env = {};
  try {
    return await load();
  } finally {
    process.env = environment;
  }
}

const models = await withoutEnvironment(() => import("@tufjs/models"));

/** A document with its signatures. */
export const Metadata = models.Metadata;
/** Kinds of document, as the library names them. */
export const MetadataKind = models.MetadataKind;

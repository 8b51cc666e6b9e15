/** After a failure: in which state the card was left, and the exact command that cleans up. Pure; the looking is the service's. */

/**
 * What a command was about when it failed. Of an installation or a load: what was there before it began is not its own, and the
 * command refuses to begin on it; so what is there afterwards is its own.
 */
export type Intent =
  | {
    readonly kind: "load";
    readonly packageAid: string;
    readonly file: string;
    readonly deletedOld: boolean;
  }
  | {
    readonly kind: "install";
    readonly packageAid: string;
    readonly instanceAid: string;
    /** The package was loaded by this command. */
    readonly loadedHere: boolean;
  }
  | { readonly kind: "delete"; readonly aid: string; readonly related: boolean }
  | {
    readonly kind: "put-keys";
    readonly newVersion: number;
    /** Versions on the card before; undefined: the card did not tell. */
    readonly before: readonly number[] | undefined;
  }
  | { readonly kind: "delete-keys"; readonly version: number }
  | {
    readonly kind: "set-status";
    readonly what: string;
    readonly lock: boolean;
    readonly aid: string | undefined;
  };

/** What a look at the card showed; undefined: the card did not let it be seen. */
export interface Observed {
  /** AIDs in the registry, hex. */
  readonly registry?: readonly string[];
  readonly keyVersions?: readonly number[];
  /** Word for the life cycle of what was to be locked or unlocked. */
  readonly lifeCycle?: string;
}

/** For people: the state, and commands as words after `rk card`. */
export interface Aftermath {
  readonly state: readonly string[];
  readonly cleanUp: readonly (readonly string[])[];
}

const hex = (value: number) => value.toString(16).toUpperCase().padStart(2, "0");
const UNSEEN = "the card could not be looked at: it is gone, or its channel has ended";

/** What to say. */
export function aftermath(intent: Intent, observed: Observed): Aftermath {
  const { registry, keyVersions } = observed;
  const has = (aid: string) => registry?.includes(aid) ?? false;
  switch (intent.kind) {
    case "load": {
      const old = intent.deletedOld ? [`the package that was there before has been deleted`] : [];
      if (registry === undefined) return { state: [...old, UNSEEN], cleanUp: [["list"]] };
      if (has(intent.packageAid)) {
        return {
          state: [...old, `package ${intent.packageAid} is on the card`],
          cleanUp: [["delete", intent.packageAid, "--related"]],
        };
      }
      return {
        state: [
          ...old,
          `package ${intent.packageAid} is not on the card; the blocks that it took are dropped at the next selection`,
        ],
        // What was deleted can only come back by loading; otherwise the card is as it was.
        cleanUp: intent.deletedOld ? [["load", intent.file]] : [],
      };
    }
    case "install": {
      if (registry === undefined) return { state: [UNSEEN], cleanUp: [["list"]] };
      const instance = has(intent.instanceAid)
        ? `instance ${intent.instanceAid} is on the card`
        : `instance ${intent.instanceAid} is not on the card`;
      const loaded = intent.loadedHere && has(intent.packageAid);
      const cleanUp = loaded
        ? [["delete", intent.packageAid, "--related"]]
        : has(intent.instanceAid)
        ? [["delete", intent.instanceAid]]
        : [];
      return {
        state: [
          instance,
          ...(loaded ? [`package ${intent.packageAid}, loaded by this command, is on it`] : []),
        ],
        cleanUp,
      };
    }
    case "delete": {
      if (registry === undefined) return { state: [UNSEEN], cleanUp: [["list"]] };
      return has(intent.aid)
        ? {
          state: [`${intent.aid} is still on the card`],
          cleanUp: [["delete", intent.aid, ...(intent.related ? ["--related"] : [])]],
        }
        : { state: [`${intent.aid} is not on the card any more`], cleanUp: [] };
    }
    case "put-keys": {
      if (keyVersions === undefined) return { state: [UNSEEN], cleanUp: [["keys", "list"]] };
      const there = keyVersions.map(hex).join(", ") || "none";
      if (keyVersions.includes(intent.newVersion) && (intent.before?.includes(intent.newVersion) ?? true)) {
        return {
          state: [
            `key versions on the card: ${there}; version ${
              hex(intent.newVersion)
            } was there before, or may have been: ` +
            "the card does not tell whether its keys are the old or the new ones",
          ],
          cleanUp: [["keys", "list"]],
        };
      }
      return keyVersions.includes(intent.newVersion)
        ? {
          state: [
            `key versions on the card: ${there}; version ${
              hex(intent.newVersion)
            } is there: use the new keys`,
          ],
          cleanUp: [["keys", "list", "--key-version", hex(intent.newVersion)]],
        }
        : {
          state: [
            `key versions on the card: ${there}; the new version ${
              hex(intent.newVersion)
            } is not there: the old keys hold`,
          ],
          cleanUp: [],
        };
    }
    case "delete-keys": {
      if (keyVersions === undefined) return { state: [UNSEEN], cleanUp: [["keys", "list"]] };
      return {
        state: [`key versions on the card: ${keyVersions.map(hex).join(", ") || "none"}`],
        cleanUp: [],
      };
    }
    case "set-status": {
      if (observed.lifeCycle === undefined) return { state: [UNSEEN], cleanUp: [["list"]] };
      const locked = /LOCKED/.test(observed.lifeCycle);
      const target = intent.aid ?? "--card";
      return {
        state: [`${intent.what} is ${observed.lifeCycle}`],
        cleanUp: locked && intent.lock ? [["unlock", target]] : [],
      };
    }
  }
}

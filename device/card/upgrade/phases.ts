/**
 * What each phase of an upgrade does to the card's memory: pure functions, each safe to run again from its beginning,
 * so that a phase that lost its power is simply repeated.
 */

import { equal } from "shared/base/bytes.ts";
import { type CardState, freshRecoveryKey, type InstanceState, isRecoveryKeyModule } from "../state.ts";
import { findPackage } from "../registry.ts";
import type { UpgradePhase } from "./machine.ts";

/** An open or finished session as the card keeps it. */
export type UpgradeState = NonNullable<CardState["upgrade"]>;

/** The new state; or what failed, so that the session waits as `restore-failed`. */
export type PhaseOutcome = { readonly state: CardState } | { readonly failed: CardState };

type PhaseStep = (state: CardState, upgrade: UpgradeState) => PhaseOutcome;

/**
 * Minor version of a package that stands for a broken build: its applet refuses the saved data. The card runs no code, so the
 * version must say what a real applet would do.
 */
export const BROKEN_MINOR = 255;

/** State with fields of the session replaced. */
export function withUpgrade(state: CardState, fields: Partial<UpgradeState>): CardState {
  return state.upgrade === null ? state : { ...state, upgrade: { ...state.upgrade, ...fields } };
}

/** State without the instances of a package. */
export function withoutInstancesOf(state: CardState, packageAid: Uint8Array): CardState {
  return { ...state, instances: state.instances.filter((one) => !equal(one.packageAid, packageAid)) };
}

/** State without a package and its instances. */
export function withoutUpgradedPackage(state: CardState, packageAid: Uint8Array): CardState {
  const left = withoutInstancesOf(state, packageAid);
  return { ...left, packages: left.packages.filter((one) => !equal(one.aid, packageAid)) };
}

/** An application of the new package without data: as INSTALL would make it. */
function installed(instance: InstanceState, version: { major: number; minor: number }): InstanceState {
  const isRecoveryKey = isRecoveryKeyModule(instance.packageAid, instance.moduleAid);
  return { ...instance, recoveryKey: isRecoveryKey ? freshRecoveryKey(version) : null };
}

/** The phases. */
export const PHASE_STEPS: Readonly<Record<UpgradePhase, PhaseStep>> = {
  /** Every application gives its data: for the Recovery Key that is its whole memory. */
  saving: (state, { packageAid }) => ({
    state: withUpgrade(state, {
      saved: state.instances.filter((one) => equal(one.packageAid, packageAid)),
    }),
  }),
  /** The old applications let go of what others hold; the Recovery Key shares nothing. */
  cleanup: (state) => ({ state }),
  delete: (state, { packageAid }) => ({ state: withoutUpgradedPackage(state, packageAid) }),
  /** Each application is made again under its AID, domain and privileges. */
  install: (state, { packageAid, saved }) => {
    const clean = withoutInstancesOf(state, packageAid);
    const loaded = findPackage(clean, packageAid);
    const complete = loaded !== undefined &&
      saved.every((one) => loaded.modules.some((module) => equal(module, one.moduleAid)));
    if (!complete) return { failed: clean };
    return {
      state: {
        ...clean,
        instances: [...clean.instances, ...saved.map((one) => installed(one, loaded.version))],
      },
    };
  },
  /** Each application takes its data back, under the new version; a broken build throws. */
  restore: (state, { packageAid, saved }) => {
    const clean = withoutInstancesOf(state, packageAid);
    const version = findPackage(state, packageAid)?.version;
    if (version === undefined || version.minor === BROKEN_MINOR) return { failed: clean };
    const restored = saved.map((one) => ({
      ...one,
      recoveryKey: one.recoveryKey === null ? null : { ...one.recoveryKey, version },
    }));
    return { state: { ...clean, instances: [...clean.instances, ...restored] } };
  },
  /** The saved data are erased. */
  consolidate: (state) => ({ state: withUpgrade(state, { saved: [], recovery: false }) }),
};

/** One call of an applet command. */

import type { CardContext } from "../context.ts";
import { withInstance } from "../registry.ts";
import type { InstanceState, RecoveryKeyState } from "../state.ts";

/** The applet's view: its own memory and the card's services. */
export class AppletCall {
  readonly context: CardContext;
  #instance: InstanceState;
  #memory: RecoveryKeyState;

  constructor(context: CardContext, instance: InstanceState, memory: RecoveryKeyState) {
    this.context = context;
    this.#instance = instance;
    this.#memory = memory;
  }

  /** Persistent memory. */
  get memory(): RecoveryKeyState {
    return this.#memory;
  }

  /** Replaces fields of the persistent memory, all of them or none. */
  change(fields: Partial<RecoveryKeyState>): void {
    this.#memory = { ...this.#memory, ...fields };
    this.#instance = { ...this.#instance, recoveryKey: this.#memory };
    this.context.state = withInstance(this.context.state, this.#instance);
  }

  /** Volatile memory. */
  get volatile(): CardContext["volatile"]["applet"] {
    return this.context.volatile.applet;
  }

  /** AID of the package whose code runs. */
  get packageAid(): Uint8Array {
    return this.#instance.packageAid;
  }

  /** AID of this instance. */
  get aid(): Uint8Array {
    return this.#instance.aid;
  }
}

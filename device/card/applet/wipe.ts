/** What three wrong PINs and FACTORY RESET leave: an attested card without its user. Card page, section 3. */

import type { AppletCall } from "./call.ts";
import { APPLET_LIFE_CYCLE, transientAfterSelect } from "./volatile.ts";

/** Clears PIN, seed and name in one step. */
export function wipe(call: AppletCall): void {
  call.change({
    lifeCycle: APPLET_LIFE_CYCLE.ATTESTED,
    pin: null,
    pinTriesLeft: 3,
    seed: null,
    name: null,
  });
  call.volatile.transient = transientAfterSelect(APPLET_LIFE_CYCLE.ATTESTED);
  call.volatile.keys = null;
  call.volatile.pendingPin = null;
  call.context.volatile.upgradeGrant = null;
}

/** A package as `rk package` tells it. */

import type { CapDescription } from "shared/protocol/cap/description.ts";

/** Lines for people. */
export function packageLines(cap: CapDescription): string[] {
  return [
    `package     ${cap.packageName ?? "(no name)"} ${cap.version}, AID ${cap.packageAid}`,
    `applets     ${cap.applets.join(", ") || "none, a library"}`,
    `imports     ${cap.imports.map(({ aid, version }) => `${aid} ${version}`).join(", ") || "none"}`,
    `format      CAP ${cap.format}`,
    `components  ${cap.components.map(({ name, bytes }) => `${name} ${bytes}`).join(", ")}`,
    `loaded      ${cap.loadFileDataBlockBytes} bytes, SHA-256 ${cap.loadFileDataBlockHash}`,
    `file        SHA-256 ${cap.capSha256}`,
    ...(cap.irregularities.length === 0
      ? []
      : [`irregular   ${cap.irregularities.join(", ")}: cards may refuse it, and it is not signed`]),
  ];
}

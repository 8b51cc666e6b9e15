/** The section of a service's configuration that says which token it uses: PKCS#11, or the software HSM of demonstrations. */

import { z } from "zod";
import type { Logger } from "../base/log.ts";
import type { Hsm } from "./hsm.ts";
import { openPkcs11Hsm } from "./pkcs11/pkcs11_hsm.ts";
import { openSoftwareHsm } from "./software_hsm/software_hsm.ts";

/** The section. @param Path schema of a path. */
export function hsmSection<P extends z.ZodType<string>>(Path: P) {
  return z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("software"), file: Path, passphraseFile: Path }),
    z.strictObject({
      kind: z.literal("pkcs11"),
      library: Path,
      tokenLabel: z.string().min(1),
      /** Mode 0600. */
      pinFile: Path,
      /** Sessions at the token, operations that wait for one, and how long each may take, in milliseconds. */
      sessions: z.int().min(1).max(64).optional(),
      queueLimit: z.int().min(1).optional(),
      deadlineMs: z.int().min(10).optional(),
    }),
  ]);
}

/** The checked section; paths are absolute. */
export type HsmConfig = z.infer<ReturnType<typeof hsmSection<z.ZodType<string>>>>;

/** Opens it. @throws {CodedError} `HSM_*`, and those of the adapter. */
export async function openConfiguredHsm(config: HsmConfig, logger: Logger): Promise<Hsm> {
  if (config.kind === "software") {
    const { file, passphraseFile } = config;
    return await openSoftwareHsm({ file, passphraseFile, logger });
  }
  const { library, tokenLabel, pinFile, sessions, queueLimit, deadlineMs } = config;
  return await openPkcs11Hsm({
    library,
    tokenLabel,
    pinFile,
    ...(sessions === undefined ? {} : { sessions }),
    ...(queueLimit === undefined ? {} : { queueLimit }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
    logger,
  });
}

/** The demo's profile: a blank card, a signed package, a security domain of its own, keys thrown away at the end. */

import { fromHex, toHex } from "shared/base/bytes.ts";
import { encodeSignedPackage } from "shared/protocol/signed_package/document.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import type { Hsm } from "shared/transport/hsm.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { RELEASE_LABEL } from "factory/domain/factory_keys.ts";
import { checkProfile, type Profile } from "factory/domain/profile.ts";
import { profileTemplate } from "factory/domain/profile_template.ts";
import { signPackage } from "factory/service/package/sign.ts";

/** Size of the demo's package in bytes: that of a small applet. */
export const DEMO_PACKAGE_BYTES = 4000;

/**
 * Writes the package beside the batch file, has the release key of the spine's token sign it, and returns the
 * `recovery-key` profile that loads it, with random channel keys.
 */
export async function demoProfile(folder: string, hsm: Hsm, random: RandomSource): Promise<Profile> {
  const template = JSON.parse(profileTemplate("recovery-key"));
  const cap = writeTestCap({ payloadBytes: DEMO_PACKAGE_BYTES });
  const signed = await signPackage({
    hsm,
    keyLabel: RELEASE_LABEL,
    cap,
    securityDomainAid: fromHex(template.applet.dapDomain),
    clock: SYSTEM_CLOCK,
  });
  const capPath = `${folder}/recovery_key.cap`;
  const signedPath = `${folder}/recovery_key.signed.json`;
  await Deno.writeFile(capPath, cap);
  await Deno.writeTextFile(signedPath, encodeSignedPackage(signed));
  const key = () => toHex(random(16));
  return checkProfile({
    ...template,
    name: "demo",
    ssdKeys: { ...template.ssdKeys, enc: key(), mac: key(), dek: key() },
    applet: {
      ...template.applet,
      capPath,
      capSha256: signed.capSha256,
      signedPath,
      releaseKey: toHex(await hsm.publicKey(RELEASE_LABEL)),
    },
  });
}

/** The demo's profile: a blank card, a package from a CAP file, a security domain of its own, keys thrown away at the end. */

import { toHex } from "shared/base/bytes.ts";
import type { RandomSource } from "shared/transport/random.ts";
import { readCap } from "shared/protocol/cap/reader.ts";
import { writeTestCap } from "shared/protocol/cap/writer.ts";
import { checkProfile, type Profile } from "factory/domain/profile.ts";
import { profileTemplate } from "factory/domain/profile_template.ts";

/** Size of the demo's package in bytes: that of a small applet. */
const PACKAGE_BYTES = 4000;

/** Writes the package beside the batch file and returns the `recovery-key` profile that loads it, with random channel keys. */
export async function demoProfile(folder: string, random: RandomSource): Promise<Profile> {
  const capPath = `${folder}/recovery_key.cap`;
  const cap = writeTestCap({ payloadBytes: PACKAGE_BYTES });
  await Deno.writeFile(capPath, cap);
  const key = () => toHex(random(16));
  const template = JSON.parse(profileTemplate("recovery-key"));
  return checkProfile({
    ...template,
    name: "demo",
    ssdKeys: { ...template.ssdKeys, enc: key(), mac: key(), dek: key() },
    applet: { state: "load", capPath, capSha256: toHex(readCap(cap).fileSha256) },
  });
}

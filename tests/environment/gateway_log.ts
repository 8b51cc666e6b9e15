/** A tamper-evident log for a gateway under test, and what is in it. */

import { parseLeaf } from "shared/log/leaf.ts";
import { LogReader } from "shared/log/reader.ts";
import { parseTrust, trustPolicy } from "shared/log/trust.ts";
import { fileLogVerifierKey } from "shared/log/writer/file_event_log.ts";
import { directorySource } from "shared/transport/log_source/directory.ts";
import { ensureSecretFile } from "shared/transport/secret_file.ts";

const ORIGIN = "log.example/gateway";

/** Makes keys in a folder of its own; the log itself is made by whoever opens it. */
export async function makeGatewayLog() {
  const folder = await Deno.makeTempDir({ prefix: "rk-gateway-log-" });
  const keyFile = `${folder}/log.key`;
  await Deno.writeTextFile(keyFile, `${new Uint8Array(32).fill(5).toBase64()}\n`, { mode: 0o600 });
  ensureSecretFile(`${folder}/pseudonym.key`);
  const eventLog = {
    origin: ORIGIN,
    folder: `${folder}/log`,
    sequenceFile: `${folder}/sequence.sqlite`,
    keyFile,
    pseudonymKeyFile: `${folder}/pseudonym.key`,
  };
  return {
    folder,
    /** The section of a configuration. */
    eventLog,
    /** Every entry, verified under one signed checkpoint. */
    leaves: async () => {
      const key = fileLogVerifierKey(ORIGIN, keyFile);
      const policy = trustPolicy(parseTrust(JSON.stringify({ origin: ORIGIN, log: [key] })));
      const reader = await LogReader.open(directorySource(eventLog.folder), policy);
      const leaves = [];
      for await (const { bytes } of reader.entries(0, reader.checkpoint.size)) leaves.push(parseLeaf(bytes));
      return leaves;
    },
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

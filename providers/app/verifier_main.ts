/**
 * The reference verifier: `verifier_main.ts init | serve --config FILE`. It is for demonstrations and tests; it believes what is
 * typed into its page.
 */

import { parseArgs } from "node:util";
import { splitAddress } from "shared/base/configuration.ts";
import { CodedError, defineErrors, EXIT_CODES } from "shared/base/errors.ts";
import { createLogger, type Logger } from "shared/base/log.ts";
import { runMain } from "shared/base/run_main.ts";
import { readText } from "shared/base/text_file.ts";
import { SYSTEM_CLOCK } from "shared/transport/clock.ts";
import { verifierApp } from "../verifier/http.ts";
import { ensureVerifierKeys, VerifierKeys } from "../verifier/key_store.ts";
import { readVerifierConfig, type VerifierConfig } from "./verifier_config.ts";

const MINUTE_SECONDS = 60;

defineErrors({
  VERIFIER_LISTEN: {
    fault: "configuration",
    retry: true,
    next: "Another program has this address, or it is not of this machine: change `listen`.",
  },
});

async function serve(config: VerifierConfig, log: Logger): Promise<void> {
  const { issuer, provider, resultSeconds, rotation, tls, listen } = config;
  if (provider === undefined) {
    throw new CodedError("PROVIDER_CONFIG", "Cannot serve: `provider` with its vault's key is missing");
  }
  const { rotateMinutes, announceMinutes, setMinutes } = rotation;
  const keys = new VerifierKeys(config.keys, {
    issuer,
    setSeconds: setMinutes * MINUTE_SECONDS,
    policy: {
      rotateSeconds: rotateMinutes * MINUTE_SECONDS,
      announceSeconds: announceMinutes * MINUTE_SECONDS,
      // A result holds so long, and clocks differ.
      overlapSeconds: resultSeconds + 2 * MINUTE_SECONDS,
    },
  });
  const app = verifierApp({ parties: { issuer, provider, resultSeconds }, keys, clock: SYSTEM_CLOCK, log });
  log.warning("not-for-production", { what: "reference-verifier", message: "It verifies nobody." });
  const secured = tls && { cert: await readText(tls.certificate), key: await readText(tls.key) };
  const address = splitAddress(listen);
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    const options = { ...address, onListen: () => {} };
    server = secured ? Deno.serve({ ...options, ...secured }, app.fetch) : Deno.serve(options, app.fetch);
  } catch (error) {
    throw new CodedError("VERIFIER_LISTEN", `Cannot listen on ${listen}`, {}, error);
  }
  const url = `${secured ? "https" : "http"}://${address.hostname}:${server.addr.port}`;
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(name, () => {
      server.shutdown().finally(() => Deno.exit(EXIT_CODES.ok));
    });
  }
  console.log(JSON.stringify({ ready: true, url, keySet: `${url}/jwks.jwt`, notForProduction: true }));
}

async function main(args: string[]): Promise<void> {
  const options = { config: { type: "string" } } as const;
  const { positionals: [verb, ...more], values } = parseArgs({ args, options, allowPositionals: true });
  if (values.config === undefined || more.length > 0 || (verb !== "init" && verb !== "serve")) {
    throw new CodedError("PROVIDER_USAGE", "Cannot start: say init or serve, and --config FILE");
  }
  const config = await readVerifierConfig(values.config);
  if (verb === "serve") {
    return await serve(config, createLogger("verifier", { bound: { issuer: config.issuer } }));
  }
  console.log(JSON.stringify({ issuer: config.issuer, pinnedKey: await ensureVerifierKeys(config.keys) }));
}

if (import.meta.main) await runMain("the verifier", main);

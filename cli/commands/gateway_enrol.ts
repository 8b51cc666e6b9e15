/** `rk gateway enrol | enrol-init | revoke | issued`: certificates for the gateway's clients over EST, each process under its own set. */

import type { Command } from "commander";
import { besideConfig, readConfig } from "gateway/app/config_file.ts";
import { listSources } from "gateway/app/config.ts";
import { EnrolConfig } from "gateway/app/enrol_config.ts";
import { parseAddress } from "shared/transport/postgres/address.ts";
import { action } from "../output.ts";
import { absolute } from "../paths.ts";
import type { ChildSpec } from "../process/child.ts";
import { runForeground } from "../process/foreground.ts";
import { STANDARD_FOLDER, STANDARD_REVOCATION } from "../spine/layout.ts";
import { LIBRARY_VARIABLES, STANDARD_PKCS11_LIBRARY } from "./token.ts";

/** Standard addresses in the permission sets. */
const STANDARD_ENROLMENT = {
  listen: "127.0.0.1:8448",
  publication: "127.0.0.1:8496",
  database: "127.0.0.1:8462",
};

interface Options {
  readonly config: string;
  readonly serial?: string;
  readonly identity?: string;
  readonly reason?: string;
}

/** Registers the commands below `gateway`. */
export function registerEnrolment(gateway: Command): void {
  const verb = (name: string, description: string) =>
    gateway.command(name).description(description)
      .requiredOption("--config <file>", "YAML configuration; gateway/enrol_example.yaml explains it");
  verb(
    "enrol",
    "serve enrolment over EST (RFC 7030): a process of its own, with other authorities than the gateway",
  )
    .action(action((options: Options) => run("serve", options)));
  verb("enrol-init", "make the issuing authority: its key in the token, its certificate in a file")
    .action(action((options: Options) => run("init", options)));
  verb("revoke", "revoke certificates that were issued, and publish the list")
    .option("--serial <hex>", "one certificate")
    .option("--identity <uri>", "every certificate of an identity")
    .option("--reason <text>", "kept with the record")
    .option("--json", "the last line is one JSON object")
    .action(action((options: Options) => run("revoke", options)));
  verb("issued", "list what was issued")
    .option("--identity <uri>", "of one identity")
    .option("--json", "the last line is one JSON object")
    .action(action((options: Options) => run("issued", options)));
}

async function run(verb: string, options: Options): Promise<number> {
  const file = absolute(options.config);
  return await runForeground(enrolSpec(verb, file, await readConfig(file, EnrolConfig), options));
}

/** How a process of the enrolment is started under its set. */
export function enrolSpec(
  verb: string,
  file: string,
  config: EnrolConfig,
  options: Omit<Options, "config"> = {},
): Omit<ChildSpec, "logFile" | "readyTimeoutMs"> {
  const pkcs11 = config.hsm.kind === "pkcs11";
  const extra = (["serial", "identity", "reason"] as const).flatMap((name) =>
    options[name] === undefined ? [] : [`--${name}`, options[name]]
  );
  const variables = Object.fromEntries(LIBRARY_VARIABLES.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
  return {
    name: "enrolment",
    module: "gateway/app/enrol_main.ts",
    permissions: `${verb === "init" ? "enrolment-init" : "enrolment"}${pkcs11 ? "-pkcs11" : ""}`,
    substitution: enrolSubstitution(verb, file, config),
    args: [verb, "--config", file, ...extra],
    ...(pkcs11 ? { env: variables } : {}),
  };
}

function enrolSubstitution(
  verb: string,
  file: string,
  config: EnrolConfig,
): Record<string, string | string[]> {
  const at = (path: string) => besideConfig(file, path);
  const address = (host: string, port: number) =>
    `${host.includes(":") ? `[${host}]` : host}${port === 0 ? "" : `:${port}`}`;
  const { listen, publication, canaries, clients, database, hsm, issuer } = config;
  const server = parseAddress(database.url);
  const name = canaries.serverName;
  const authorities = clients.authorities;
  const files = [
    listen.certificate,
    listen.key,
    ...authorities.flatMap((each) => [
      each.certificate,
      ...listSources(each).filter(({ isUrl }) => !isUrl).map(({ name }) => name),
    ]),
    canaries.serverAuthority,
    ...[canaries.valid, canaries.expired, canaries.revoked].flatMap((
      { certificate, key },
    ) => [certificate, key]),
    ...(database.tls ? [database.tls.authority, database.tls.certificate, database.tls.key] : []),
    ...(database.passwordFile ? [database.passwordFile] : []),
    issuer.certificate,
  ].map(at);
  const folderOf = (path: string) => path.replace(/\/[^/]*$/, "");
  return {
    [STANDARD_ENROLMENT.listen]: [
      address(listen.address, listen.port),
      ...(name ? [address(name, listen.port), address(name, publication.port)] : []),
    ],
    [STANDARD_ENROLMENT.publication]: address(publication.address, publication.port),
    [STANDARD_ENROLMENT.database]: address(server.host, server.port),
    [STANDARD_REVOCATION]: authorities.flatMap(({ revocationUrls }) =>
      revocationUrls.map((url) => {
        const { hostname, port, protocol } = new URL(url);
        return `${hostname}:${port || (protocol === "https:" ? 443 : 80)}`;
      })
    ),
    [`${STANDARD_FOLDER}/enrolment`]: verb === "init" ? [file] : [file, ...files],
    [`${STANDARD_FOLDER}/pki/issued.crt`]: at(issuer.certificate),
    ...(hsm.kind === "software"
      ? {
        // Its lock and its next version are beside the file: to make a key is to write the folder.
        [`${STANDARD_FOLDER}/hsm`]: verb === "init" ? folderOf(at(hsm.file)) : at(hsm.file),
        [`${STANDARD_FOLDER}/hsm/passphrase`]: at(hsm.passphraseFile),
      }
      : { [`${STANDARD_FOLDER}/hsm`]: at(hsm.pinFile), [STANDARD_PKCS11_LIBRARY]: hsm.library }),
  };
}

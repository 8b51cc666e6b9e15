/**
 * The process of `rk gateway explain`: reads the configuration, the descriptions it names and one request; no network.
 * Exit code 0 when the request would be forwarded, 4 when it would be refused.
 */

import { parseArgs } from "node:util";
import { CodedError, codeOf, errorRow, EXIT_CODES } from "shared/base/errors.ts";
import { readApis } from "./api_config.ts";
import { GatewayConfig } from "./config.ts";
import { besideConfig, readConfig, readTextFile } from "./config_file.ts";
import { explainRequest, type Explanation } from "./explain.ts";
import { requestBytes } from "./explain_request.ts";
import { compilePolicy } from "./material.ts";
import { readDenied } from "./protection_material.ts";

/** Longest request that is read, bytes. */
const MAX_INPUT_BYTES = 32 * 1024 * 1024;

/** Runs the process; resolves to its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals: [file] } = parseArgs({
      args: [...args],
      options: {
        config: { type: "string" },
        identity: { type: "string" },
        authority: { type: "string" },
        address: { type: "string" },
        "unix-lines": { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      },
      allowPositionals: true,
    });
    if (values.config === undefined || file === undefined) {
      throw new CodedError("GATEWAY_USAGE", "Cannot explain: --config or the request is missing");
    }
    const path = values.config;
    const config = await readConfig(path, GatewayConfig);
    const read = (name: string, what: string) => readTextFile(besideConfig(path, name), what);
    const policy = compilePolicy(config, {
      apis: await readApis(config.apis, read),
      protection: { denied: await readDenied(path, config) },
    });
    const { identity, authority, address } = values;
    const bytes = requestBytes(await readInput(file), values["unix-lines"]);
    const explanation = await explainRequest(bytes, { identity, authority, address }, config, policy);
    console.log(values.json ? JSON.stringify(explanation) : inWords(explanation));
    return explanation.verdict === "forward" ? EXIT_CODES.ok : EXIT_CODES.peer;
  } catch (error) {
    const code = codeOf(error);
    const row = errorRow(code);
    console.error(`${code}: ${error instanceof Error ? error.message : "unknown fault"}\n${row.next}`);
    return EXIT_CODES[row.fault];
  }
}

async function readInput(file: string): Promise<Uint8Array> {
  let input: Uint8Array;
  try {
    input = file === "-"
      ? new Uint8Array(await new Response(Deno.stdin.readable).arrayBuffer())
      : await Deno.readFile(file);
  } catch (error) {
    const why = error instanceof Error ? error.name : "unreadable";
    throw new CodedError("GATEWAY_FILE", `Cannot read the request ${file}: ${why}`, {}, error);
  }
  if (input.length <= MAX_INPUT_BYTES) return input;
  throw new CodedError(
    "GATEWAY_USAGE",
    `Cannot explain: the request is longer than ${MAX_INPUT_BYTES} bytes`,
  );
}

function inWords({ verdict, rule, status, upstream, steps }: Explanation): string {
  const width = Math.max(...steps.map(({ stage }) => stage.length));
  const lines = steps.map(({ stage, verdict, rule, why }) =>
    `${stage.padEnd(width)}  ${verdict.padEnd(7)}  ${rule === undefined ? "" : `${rule}: `}${why}`
  );
  const end = verdict === "forward"
    ? `The request would be forwarded to ${upstream}${
      steps.some(({ verdict }) => verdict === "unknown") ? ", as far as is known here" : ""
    }.`
    : `The request would be refused by ${rule}: ${
      status === null ? "the connection is closed" : `the client sees ${status}`
    }.`;
  return [...lines, "", end].join("\n");
}

if (import.meta.main) Deno.exit(await main(Deno.args));

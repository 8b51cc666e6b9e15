/** The section of a service's configuration that says which database it uses. */

import { z } from "zod";
import { type Database, openDatabase } from "./database.ts";

/** The section. @param Path schema of a path. */
export function databaseSection<P extends z.ZodType<string>>(Path: P) {
  return z.strictObject({
    url: z.string().regex(/^postgres(ql)?:\/\//, "not a postgres:// URL"),
    /** Leave out for a socket or the loopback interface. */
    tls: z.strictObject({ authority: Path, certificate: Path, key: Path, serverName: z.string().optional() })
      .optional(),
    /** Mode 0600; an address never holds a password. */
    passwordFile: Path.optional(),
    connections: z.int().min(1).max(100).default(8),
    /** Whether this instance brings the schema up to date at start. */
    migrate: z.boolean().default(true),
  });
}

/** The checked section; paths are absolute. */
export type DatabaseConfig = z.infer<ReturnType<typeof databaseSection<z.ZodType<string>>>>;

/** Opens it. @param name shown in the server's list of sessions. @throws {CodedError} as {@link openDatabase}. */
export function openConfiguredDatabase(
  name: string,
  { url, tls, passwordFile, connections }: DatabaseConfig,
): Database {
  return openDatabase({
    url,
    applicationName: name,
    max: connections,
    ...(passwordFile === undefined ? {} : { passwordFile }),
    ...(tls === undefined ? {} : {
      tls: {
        caFile: tls.authority,
        certFile: tls.certificate,
        keyFile: tls.key,
        ...(tls.serverName === undefined ? {} : { serverName: tls.serverName }),
      },
    }),
  });
}

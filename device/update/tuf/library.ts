/** Loads tuf-js without showing it this process's environment, which a package that it uses lists while it loads. */

import { withoutEnvironment } from "shared/protocol/release/library.ts";

/** The library's workflow. */
export const { Updater } = await withoutEnvironment(() => import("tuf-js"));
/** What the library takes as a server's refusal. */
export const { DownloadHTTPError } = await withoutEnvironment(() => import("tuf-js/dist/error.js"));

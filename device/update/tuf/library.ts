/** Loads tuf-js without showing it this process's environment, which a package that it uses lists while it loads. */

import { withoutEnvironment } from "shared/protocol/release/library.ts";

const workflow = await withoutEnvironment(() => import("tuf-js"));
const errors = await withoutEnvironment(() => import("tuf-js/dist/error.js"));

/** The library's workflow. */
export const Updater = workflow.Updater;
/** What the library takes as a server's refusal. */
export const DownloadHTTPError = errors.DownloadHTTPError;

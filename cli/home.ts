/** Where things are: the repository, the state folder and the pinned Deno. */

import { fromFileUrl } from "./paths.ts";

/** Folder of the repository, without a slash at the end. */
export const REPOSITORY = fromFileUrl(new URL("../", import.meta.url)).replace(/\/$/, "");

/** State and tools: `RK_HOME`, or `.rk` in the repository. */
export const HOME = Deno.env.get("RK_HOME") ?? `${REPOSITORY}/.rk`;

/** The Deno that runs this program; children run on the same one. */
export const DENO = Deno.env.get("RK_DENO") ?? Deno.execPath();

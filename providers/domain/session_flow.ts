/** Which step of a session may follow which. What is not in the table is refused. */

import { flow } from "shared/base/flow.ts";

/** States of a provider's session. `released`, `deleted`, `abandoned` and `refused` are ends. */
export type SessionState =
  | "backup"
  | "deposited"
  | "stored"
  | "restore"
  | "locked"
  | "release"
  | "counted"
  | "released"
  | "delete"
  | "challenged"
  | "deleted"
  | "refused"
  | "abandoned";

/** Steps. `count` comes before `release` is judged. */
export type SessionStep =
  | "deposit"
  | "commit"
  | "abandon"
  | "confirm"
  | "count"
  | "release"
  | "delete"
  | "deletion"
  | "refuse";

/**
 * A backup that is in force cannot be abandoned: an orchestrator that has begun to commit goes on until all providers have
 * committed, and one that is hostile cannot take a backup away by pretending to compensate.
 */
export const SESSION_FLOW = flow<SessionState, SessionStep>({
  backup: { deposit: "deposited", abandon: "abandoned", refuse: "refused" },
  deposited: { commit: "stored", abandon: "abandoned" },
  stored: {},
  restore: { confirm: "locked", abandon: "abandoned", refuse: "refused" },
  locked: { abandon: "abandoned" },
  release: { count: "counted", abandon: "abandoned" },
  counted: { release: "released", refuse: "refused" },
  released: {},
  delete: { delete: "challenged", abandon: "abandoned", refuse: "refused" },
  challenged: { deletion: "deleted", abandon: "abandoned", refuse: "refused" },
  deleted: {},
  refused: {},
  abandoned: {},
});

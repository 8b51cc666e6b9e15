/** A person whose answers stand in a list: for tests. */

import { toUtf8 } from "shared/base/bytes.ts";
import { CodedError } from "shared/base/errors.ts";
import { Secret } from "shared/base/secret.ts";
import type { About, Confirmation, Notice, Person, SecretName } from "../person.ts";

/** What the person says. */
export interface Script {
  /** By name: one answer for every time, or one after the other. */
  readonly secrets?: Partial<Record<SecretName, string | readonly string[]>>;
  readonly confirm?: Partial<Record<Confirmation, boolean>>;
  readonly choice?: string;
  readonly text?: string;
  readonly canRetry?: boolean;
  /** Runs at each notice, so that a test can move cards. */
  readonly onNotice?: (notice: Notice) => void;
}

/** A scripted person, and what happened to it. */
export interface ScriptedPerson extends Person {
  readonly notices: readonly Notice[];
  /** Secrets and confirmations in the order in which they were asked. */
  readonly asked: readonly { readonly name: string; readonly about: About }[];
  /** Every secret that was handed out, to see that it was wiped. */
  readonly handed: readonly Secret[];
}

/** Makes one. */
export function scriptedPerson(script: Script): ScriptedPerson {
  const notices: Notice[] = [];
  const asked: { name: string; about: About }[] = [];
  const handed: Secret[] = [];
  const left = new Map(
    Object.entries(script.secrets ?? {}).map(([name, value]) => [
      name,
      typeof value === "string" ? value : [...value],
    ]),
  );
  return {
    canRetry: script.canRetry ?? false,
    notices,
    asked,
    handed,
    tell(notice) {
      notices.push(notice);
      script.onNotice?.(notice);
    },
    secret(name, about) {
      asked.push({ name, about });
      const value = left.get(name);
      const text = typeof value === "string" ? value : value?.shift();
      if (text === undefined) {
        return Promise.reject(new CodedError("WALLET_CANCELLED", `Stopped: no ${name} in the script`));
      }
      const secret = new Secret(toUtf8(text));
      handed.push(secret);
      return Promise.resolve(secret);
    },
    confirm(what, about) {
      asked.push({ name: what, about });
      return Promise.resolve(script.confirm?.[what] ?? false);
    },
    choose(_question, options) {
      const choice = options.find((option) => option === script.choice);
      return choice === undefined
        ? Promise.reject(new CodedError("WALLET_CONFIRM", "Cannot choose: the script does not say"))
        : Promise.resolve(choice);
    },
    text: () =>
      script.text === undefined
        ? Promise.reject(new CodedError("WALLET_CONFIRM", "Cannot answer: the script does not say"))
        : Promise.resolve(script.text),
  };
}

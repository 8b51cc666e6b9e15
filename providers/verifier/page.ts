/** The verifier's pages: made here, without script; what a person typed is escaped by the template. */

import { html, raw } from "hono/html";
import { sha256 } from "@noble/hashes/sha2.js";
import { toUtf8 } from "shared/base/bytes.ts";
import type { SealedResult } from "./result.ts";

const STYLE = `
:root { color-scheme: light dark; --edge: #767676; --bad: #b3141d; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff7b72; } }
body { font: 17px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 40rem; padding: 1rem; }
.reference { background: #ffd33d; color: #1b1b1b; border: .2rem solid #1b1b1b; padding: .7rem 1rem; }
.reference strong { display: block; font-size: 1.15rem; }
h1 { font-size: 1.5rem; }
form { display: grid; gap: 1rem; }
label { display: block; font-weight: 600; }
.hint { margin: 0; }
input[type=text], textarea { box-sizing: border-box; width: 100%; font: inherit; padding: .5rem; border: 1px solid var(--edge); border-radius: .25rem; }
.code, textarea { font-family: ui-monospace, monospace; }
.confirm { display: flex; gap: .7rem; align-items: baseline; }
button { font: inherit; font-weight: 600; padding: .7rem 1.2rem; justify-self: start; }
:focus-visible { outline: .2rem solid #0b62d6; outline-offset: .15rem; }
.faults { border-left: .4rem solid var(--bad); padding: .2rem 1rem; }
.fault { color: var(--bad); font-weight: 600; margin: 0; }
`;

/** Hash of the style, for the policy that lets no other in. */
export const STYLE_HASH = sha256(toUtf8(STYLE)).toBase64();

/** The fields that a person fills in, in order. */
export const FIELDS = [
  {
    name: "nonce",
    label: "Number of this verification",
    hint: "64 digits and letters, as the wallet shows them.",
    autocomplete: "off",
    code: true,
  },
  { name: "firstName", label: "First name", hint: "", autocomplete: "given-name", code: false },
  { name: "lastName", label: "Last name", hint: "", autocomplete: "family-name", code: false },
  {
    name: "dateOfBirth",
    label: "Date of birth",
    hint: "Written as in the backup, for example 1990-12-31.",
    autocomplete: "bday",
    code: false,
  },
  {
    name: "placeOfBirth",
    label: "Place of birth",
    hint: "Written as in the backup.",
    autocomplete: "off",
    code: false,
  },
  {
    name: "securityCode",
    label: "Security code",
    hint: "The four digits that the device shows. Leave it empty when the device shows none.",
    autocomplete: "one-time-code",
    code: true,
  },
] as const;

const CONFIRM = "confirmed";
/** Names of what the form sends. */
export type FieldName = (typeof FIELDS)[number]["name"] | typeof CONFIRM;

type Faults = ReadonlyMap<string, string>;
type Values = Readonly<Record<string, string | undefined>>;

function page(provider: string, title: string, content: unknown) {
  return html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>${title} - reference verifier, not for production</title>
        <style>${raw(STYLE)}</style>
      </head>
      <body>
        <div class="reference" role="note"><strong>Reference verifier: not for production.</strong>
          It looks at no document and no face, and believes whatever is typed below.</div>
        <main>
          <h1>${title}</h1>
          <p>For <strong>${provider}</strong>, and for no other provider.</p>
          ${content}
        </main>
      </body>
    </html>
  `;
}

/** The form. @param faults what is wrong, by field; the form says all at once. */
export function formPage(provider: string, values: Values, faults: Faults = new Map()) {
  const all = [...faults];
  return page(
    provider,
    all.length > 0 ? "Please correct" : "Verify an identity",
    html`
      ${all.length === 0 ? "" : html`
        <div class="faults" role="alert">
          <p>Not sent to anybody. Please correct:</p>
          <ul>${all.map(([name, fault]) =>
            html`<li><a href="#${name}">${labelOf(name)}</a> ${fault}</li>`
          )}</ul>
        </div>
      `}
      <form method="post" action="/results" accept-charset="utf-8" novalidate>
        ${FIELDS.map((field) => input(field, values[field.name] ?? "", faults.get(field.name)))}
        <div>
          ${fault(CONFIRM, faults.get(CONFIRM))}
          <div class="confirm">
            <input type="checkbox" id="${CONFIRM}" name="${CONFIRM}" value="yes" required
              ${values[CONFIRM] === "yes" ? "checked" : ""}${described(CONFIRM, "", faults.get(CONFIRM))}>
            <label for="${CONFIRM}">I have checked that this person is who is written here.</label>
          </div>
        </div>
        <button type="submit">Confirm</button>
      </form>
    `,
  );
}

function labelOf(name: string): string {
  return name === CONFIRM ? "The confirmation" : FIELDS.find((field) => field.name === name)?.label ?? name;
}

function fault(name: string, text: string | undefined) {
  return text === undefined ? "" : html`<p class="fault" id="${name}-fault">${labelOf(name)} ${text}.</p>`;
}

function described(name: string, hint: string, text: string | undefined) {
  const by = [...(hint ? [`${name}-hint`] : []), ...(text === undefined ? [] : [`${name}-fault`])];
  return html`${
    by.length > 0
      ? html`
        aria-describedby="${by.join(" ")}"
      `
      : ""
  }${text === undefined ? "" : raw(' aria-invalid="true"')}`;
}

function input(
  { name, label, hint, autocomplete, code }: (typeof FIELDS)[number],
  value: string,
  text: string | undefined,
) {
  return html`
    <div>
      <label for="${name}">${label}</label>
      ${hint ? html`<p class="hint" id="${name}-hint">${hint}</p>` : ""}${fault(name, text)}
      <input type="text" id="${name}" name="${name}" value="${value}" autocomplete="${autocomplete}"
        spellcheck="false"${code ? raw(' class="code"') : ""}${name === "securityCode"
          ? raw(' inputmode="numeric"')
          : ""}${described(
            name,
            hint,
            text,
          )}>
    </div>
  `;
}

/** The result, to be carried to the wallet. */
export function resultPage(provider: string, { result, expiresAt }: SealedResult) {
  const until = new Date(expiresAt * 1000).toISOString().slice(11, 16);
  return page(
    provider,
    "Verified",
    html`
      <p
        role="status">Give this line to the wallet before ${until} UTC. It is sealed: only ${provider} can read it, and takes it once.</p>
      <label for="result">Result</label>
      <textarea id="result" rows="8" readonly spellcheck="false">${result}</textarea>
    `,
  );
}

/** Why there is no result. */
export function refusalPage(provider: string, text: string) {
  return page(
    provider,
    "No result",
    html`
      <p role="alert">${text}</p>
      <p><a href="/">Start again</a></p>
    `,
  );
}

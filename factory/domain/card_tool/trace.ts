/** The card tool's trace: JSON lines, one for each command and its whole answer, secrets hidden before they are written. */

import { toHex } from "shared/base/bytes.ts";
import type { CommandApdu } from "shared/protocol/apdu/command.ts";
import { encodeResponse, type ResponseApdu } from "shared/protocol/apdu/response.ts";
import { formatStatus } from "shared/protocol/apdu/status_words.ts";
import { commandName } from "./names.ts";
import { sensitivityOf, showCommand, showData } from "./sensitive.ts";

/** First line of a trace. */
export interface TraceHead {
  readonly kind: "trace";
  readonly format: 1;
  /** ISO 8601. */
  readonly time: string;
  readonly command: string;
  readonly reader: string;
  readonly atr: string;
}

/** One exchange. Hex; a hidden part stands in square brackets with what it is. */
export interface TraceExchange {
  readonly kind: "exchange";
  /** What the command is for. */
  readonly step: string;
  /** As on the wire. */
  readonly sent: string;
  /** Data and status word as on the wire; absent when no answer came. */
  readonly received?: string;
  readonly sw?: string;
  /** Before the secure channel; only when there is one. */
  readonly plain?: string;
  /** Data after the secure channel. */
  readonly plainReceived?: string;
  readonly milliseconds: number;
}

/** One line. */
export type TraceLine = TraceHead | TraceExchange;

/** What is known of an exchange. */
export interface Traced {
  readonly step?: string;
  readonly wire: CommandApdu;
  readonly wireAnswer?: ResponseApdu;
  /** Absent: it went without a secure channel. */
  readonly plain?: CommandApdu;
  readonly plainAnswer?: ResponseApdu;
  readonly milliseconds: number;
}

/** Makes the line of an exchange. What the plain command hides is hidden on the wire too. */
export function traceExchange(traced: Traced): TraceExchange {
  const { wire, wireAnswer, plain, plainAnswer } = traced;
  const secret = sensitivityOf(plain ?? wire);
  return {
    kind: "exchange",
    step: traced.step ?? commandName(wire.ins),
    sent: showCommand(wire, secret.command),
    ...(wireAnswer === undefined ? {} : {
      received: secret.answer === undefined
        ? toHex(encodeResponse(wireAnswer))
        : `${showData(wireAnswer.data, secret.answer)}${formatStatus(wireAnswer.sw)}`,
      sw: formatStatus(wireAnswer.sw),
    }),
    ...(plain === undefined ? {} : { plain: showCommand(plain, secret.command) }),
    ...(plainAnswer === undefined ? {} : { plainReceived: showData(plainAnswer.data, secret.answer) }),
    milliseconds: Math.round(traced.milliseconds * 100) / 100,
  };
}

/**
 * Listening sockets that another process holds and hands to this one. The holder never accepts: it keeps the socket open
 * while one gateway takes the place of another, so that no connection that waits in it is ever lost.
 */

import { CodedError } from "shared/base/errors.ts";
import "../transport/errors.ts";

/** What a gateway is handed. The proof needs addresses of its own: on the shared ones the other gateway would answer. */
export interface HandedSockets {
  /** Descriptor of the public listening socket. */
  readonly listenFd: number;
  /** Descriptor of the admin listening socket. */
  readonly adminFd: number;
  /** Port on the public address on which the refusals are proven. */
  readonly proofPort: number;
  /** Port on the admin address from which the canaries borrow a foreign session. */
  readonly foreignPort: number;
}

const SHAPE = /^(\d{1,4}),(\d{1,4}),(\d{1,5}),(\d{1,5})$/;

/** As `--handed` writes it: `listenFd,adminFd,proofPort,foreignPort`. */
export function handedText(sockets: HandedSockets): string {
  return [sockets.listenFd, sockets.adminFd, sockets.proofPort, sockets.foreignPort].join();
}

/** Reads `--handed`. @throws {CodedError} `GATEWAY_USAGE`. */
export function readHanded(text: string): HandedSockets {
  const parts = SHAPE.exec(text)?.slice(1).map(Number);
  if (parts === undefined) {
    throw new CodedError("GATEWAY_USAGE", "Cannot read --handed: expected two descriptors and two ports");
  }
  const [listenFd, adminFd, proofPort, foreignPort] = parts as [number, number, number, number];
  return { listenFd, adminFd, proofPort, foreignPort };
}

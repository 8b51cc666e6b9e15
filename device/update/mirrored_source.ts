/** Files from one of several equal servers: one that is gone, or says 502 to 504, costs one more attempt at the next one. */

import { CodedError } from "shared/base/errors.ts";
import type { FileSource, SourceAnswer } from "./tuf/http_source.ts";

const GONE: readonly number[] = [502, 503, 504];

/**
 * Makes one source of several.
 * @param source asks one address.
 * @param servers base addresses; what is asked for begins with the first one's.
 */
export function mirroredSource(source: FileSource, servers: readonly string[]): FileSource {
  let current = 0;
  return {
    async get(url, offset) {
      let failure: unknown;
      let answer: SourceAnswer | undefined;
      for (let attempt = 0; attempt < servers.length; attempt++) {
        const server = servers[current % servers.length]!;
        try {
          answer?.cancel();
          answer = await source.get(server + url.slice(servers[0]!.length), offset);
          if (!GONE.includes(answer.status)) return answer;
        } catch (error) {
          if (!(error instanceof CodedError)) throw error;
          failure = error;
          answer = undefined;
        }
        current++;
      }
      if (answer !== undefined) return answer;
      throw failure;
    },
  };
}

/** Waiting until a gateway sees every instance behind it: what has just started is asked for the first time within a second. */

const POLL_MS = 50;

/** Whether every instance of every upstream is up. @param admin a gateway's administration address. */
export async function isEveryUpstreamUp(admin: string): Promise<boolean> {
  const answer = await fetch(`http://${admin}/readyz`);
  const { upstreams } = await answer.json() as { upstreams: Record<string, { state: string }[]> };
  return Object.values(upstreams).flat().every(({ state }) => state === "up");
}

/** Polls until a condition holds; one that fails does not hold yet. @returns false when it never did in `limitMs`. */
export async function waitFor(condition: () => Promise<boolean>, limitMs: number): Promise<boolean> {
  for (const end = performance.now() + limitMs; performance.now() < end;) {
    if (await condition().catch(() => false)) return true;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return false;
}

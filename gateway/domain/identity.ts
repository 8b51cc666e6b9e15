/** Which identities (URI subject alternative names) a route accepts: exact, or with one `*` for one segment. */

/** Shape of a pattern: a URI in which `*` may stand once, for a whole segment between `:` or `/`. */
const PATTERN = /^[A-Za-z][A-Za-z0-9+.-]*:(?:[^*\s]*[:/])?(?:[^*\s]+|\*)(?:[:/][^*\s]*)?$/;

/** Whether a text is a pattern that `compileIdentityPattern` takes. */
export function isIdentityPattern(text: string): boolean {
  return PATTERN.test(text);
}

/** Decides on one identity. */
export type IdentityMatcher = (identity: string) => boolean;

/**
 * Compiles a pattern such as `urn:recovery-key:station:*`. The star stands for one segment that is not empty
 * and holds no `:` or `/`, so that `station:a` cannot be stretched to `station:a:admin`.
 */
export function compileIdentityPattern(pattern: string): IdentityMatcher {
  const star = pattern.indexOf("*");
  if (star < 0) return (identity) => identity === pattern;
  const before = pattern.slice(0, star);
  const after = pattern.slice(star + 1);
  return (identity) => {
    if (identity.length <= before.length + after.length) return false;
    if (!identity.startsWith(before) || !identity.endsWith(after)) return false;
    return !/[:/]/.test(identity.slice(before.length, identity.length - after.length));
  };
}

/** Compiles a list: one match is enough, an empty list accepts nobody. */
export function compileIdentityPatterns(patterns: readonly string[]): IdentityMatcher {
  const matchers = patterns.map(compileIdentityPattern);
  return (identity) => matchers.some((matches) => matches(identity));
}

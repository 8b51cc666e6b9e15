/** What the update service keeps: the sealed authorization of each card whose upgrade was begun. */

/** One card's upgrade. */
export interface StoredUpgrade {
  /** 10 bytes, hex. */
  readonly keyDiversificationData: string;
  /** 4 bytes, hex. */
  readonly serial: string;
  /** Base64, as the vault sealed it. */
  readonly authorization: string;
  /** Version that the card is updated to. */
  readonly version: string;
}

/** The store. */
export interface UpgradeStore {
  /**
   * Keeps an authorization in place of an earlier one. The first one ties serial and key diversification data together for good.
   * @returns false, and nothing is kept, when either is known with another partner.
   */
  keep(upgrade: StoredUpgrade): Promise<boolean>;
  /** The authorization of a card (base64). */
  find(keyDiversificationData: string): Promise<string | undefined>;
  /** Whether it answers. */
  ping(): Promise<void>;
}

/** A store in memory, for tests. */
export function memoryUpgradeStore(): UpgradeStore & { readonly rows: ReadonlyMap<string, StoredUpgrade> } {
  const rows = new Map<string, StoredUpgrade>();
  return {
    rows,
    keep(upgrade) {
      for (const row of rows.values()) {
        const sameCard = row.serial === upgrade.serial;
        const sameKeys = row.keyDiversificationData === upgrade.keyDiversificationData;
        if (sameCard !== sameKeys) return Promise.resolve(false);
      }
      rows.set(upgrade.keyDiversificationData, upgrade);
      return Promise.resolve(true);
    },
    find: (keyDiversificationData) => Promise.resolve(rows.get(keyDiversificationData)?.authorization),
    ping: () => Promise.resolve(),
  };
}

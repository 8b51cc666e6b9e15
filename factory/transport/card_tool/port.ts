/** Port to the records of failed authentications. */

/** What is kept of an authentication that did not succeed. Check values are no secret; keys are never kept. */
export interface FailedAuthentication {
  /** See `chipIdentity`. */
  readonly chip: string;
  /** ISO 8601. */
  readonly time: string;
  /** Security domain, hex. */
  readonly domain: string;
  readonly keyVersion: number;
  /** Check value of the ENC key that was tried, hex. */
  readonly encCheckValue: string;
  /** Error code, or `UNFINISHED` when the program ended before the card answered. */
  readonly outcome: string;
}

/** Records of failures, one for each chip. */
export interface FailureRecords {
  /** @throws {CodedError} `CARDTOOL_RECORD` when there is one that cannot be read. */
  read(chip: string): Promise<FailedAuthentication | undefined>;
  /** Survives a power failure once it resolves. */
  write(record: FailedAuthentication): Promise<void>;
  /** Forgets a chip's failure. */
  clear(chip: string): Promise<void>;
}

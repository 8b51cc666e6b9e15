/** Says which package a run loads, before any card, so that a person can compare it with the release's record. */

import { toHex } from "shared/base/bytes.ts";
import type { LoadPlan } from "../../domain/package/load_plan.ts";
import type { EventSink, PackageReport } from "./events.ts";

/** Tells the package; one that nobody signed comes with a warning. */
export function announcePackage(plan: LoadPlan, emit: EventSink): void {
  const report = packageReport(plan);
  emit({ event: "package", package: report });
  if (report.signedBy === null) {
    emit({
      event: "warning",
      code: "PACKAGE_UNSIGNED",
      message: `UNSIGNED PACKAGE: nobody vouches for ${report.aid} ${report.version}. For test cards only`,
    });
  }
}

/** A plan as an event tells it. */
export function packageReport({ description, signer, dapBlocks }: LoadPlan): PackageReport {
  return {
    name: description.packageName,
    aid: description.packageAid,
    version: description.version,
    loadFileDataBlockHash: description.loadFileDataBlockHash,
    capSha256: description.capSha256,
    signedBy: signer?.keyLabel ?? null,
    releaseKey: signer === null ? null : toHex(signer.publicKey),
    signedAt: signer?.signedAt ?? null,
    verifiedBy: dapBlocks.map(({ securityDomainAid }) => toHex(securityDomainAid)),
  };
}

/** The package in one line, for screens. */
export function packageLine({ name, aid, version, loadFileDataBlockHash, signedBy }: PackageReport): string {
  const signed = signedBy === null ? "UNSIGNED" : `signed by ${signedBy}`;
  return `package ${name ?? aid} ${version}, SHA-256 ${loadFileDataBlockHash}, ${signed}`;
}

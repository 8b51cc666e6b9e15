/**
 * The one door to `@peculiar/x509`. Its container (tsyringe) refuses to load unless the metadata reflection
 * functions exist, so they must be there before the library is evaluated: import it from here only.
 */

import "reflect-metadata";

export * from "@peculiar/x509";

/**
 * The layer check: which file may import which, read from `deno info --json`, so that aliases and dynamic imports count.
 *
 * Two rules. Packages: gateway, factory, providers, orchestrator and device never import one another; they meet in shared/,
 * which imports none of them. Only cli/ and tests/ import everything; nothing imports them. Layers inside a package:
 * transport -> protocol -> domain -> service -> app; a file imports its own layer and those before it, and protocol and
 * domain take no adapter: from transport they may use types only.
 */

import { DENO, REPOSITORY } from "../home.ts";

const LAYERS = ["transport", "protocol", "domain", "service", "app"] as const;
type Layer = (typeof LAYERS)[number];

/** One import. `typeOnly`: erased at run time. */
export interface Edge {
  /** Paths relative to the repository. */
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

/** An edge that a rule forbids. */
export interface Violation extends Edge {
  readonly rule: string;
}

function packageOf(path: string): string {
  return path.split("/")[0]!;
}

function layerOf(path: string): Layer | undefined {
  return LAYERS.find((layer) => path.split("/")[1] === layer);
}

const isTest = (path: string) => path.endsWith("_test.ts");

/** The rule that an edge breaks, or undefined. Tests beside their files may also import tests/. */
export function violated(edge: Edge): string | undefined {
  const from = packageOf(edge.from);
  const to = packageOf(edge.to);
  if (from === "cli" || from === "tests") return undefined;
  if (to === "tests") return isTest(edge.from) ? undefined : `${from}/ must not import tests/`;
  if (to === "cli") return `${from}/ must not import cli/`;
  if (from !== to && to !== "shared") {
    return from === "shared" ? `shared/ must not import ${to}/` : `${from}/ must not import ${to}/`;
  }
  if (isTest(edge.from)) return undefined;
  if (edge.from.startsWith("shared/base/") && !edge.to.startsWith("shared/base/")) {
    return "shared/base/ imports nothing else";
  }
  const fromLayer = layerOf(edge.from);
  const toLayer = layerOf(edge.to);
  if (!fromLayer || !toLayer) return undefined;
  if (LAYERS.indexOf(toLayer) > LAYERS.indexOf(fromLayer)) return `${fromLayer} must not import ${toLayer}`;
  if (toLayer === "transport" && (fromLayer === "protocol" || fromLayer === "domain") && !edge.typeOnly) {
    return `${fromLayer} must not import an adapter: types only`;
  }
  return undefined;
}

interface DenoInfo {
  readonly modules: {
    readonly specifier: string;
    readonly dependencies?: {
      readonly code?: { readonly specifier?: string };
      readonly type?: { readonly specifier?: string };
    }[];
  }[];
}

/** Edges between the files of a tree, as Deno resolves them from the given entry files with the tree's deno.json. */
export async function importEdges(files: readonly string[], repository = REPOSITORY): Promise<Edge[]> {
  const root = `file://${repository}/`;
  const edges = new Map<string, Edge>();
  const entry = `${repository}/.rk/layer_entry_${Deno.pid}.ts`;
  // One entry that imports every file: one graph, one process.
  await Deno.mkdir(`${repository}/.rk`, { recursive: true });
  await Deno.writeTextFile(entry, files.map((file) => `import "../${file}";`).join("\n"));
  try {
    const output = await new Deno.Command(DENO, {
      args: ["info", "--json", `--config=${repository}/deno.json`, entry],
      cwd: repository,
      stderr: "inherit",
    }).output();
    if (!output.success) throw new Error("Cannot read the import graph: deno info failed");
    const info = JSON.parse(new TextDecoder().decode(output.stdout)) as DenoInfo;
    for (const module of info.modules) {
      if (!module.specifier.startsWith(root)) continue;
      const from = module.specifier.slice(root.length);
      if (from.startsWith(".rk/") || from.startsWith("node_modules/")) continue;
      for (const { code, type } of module.dependencies ?? []) {
        for (const [resolved, typeOnly] of [[code, false], [type, true]] as const) {
          if (!resolved?.specifier?.startsWith(root)) continue;
          const to = resolved.specifier.slice(root.length);
          if (to.startsWith("node_modules/")) continue;
          const key = `${from} ${to}`;
          const known = edges.get(key);
          edges.set(key, { from, to, typeOnly: typeOnly && (known?.typeOnly ?? true) });
        }
      }
    }
  } finally {
    await Deno.remove(entry);
  }
  return [...edges.values()];
}

/** Every forbidden import between the given files. */
export async function checkLayers(files: readonly string[]): Promise<Violation[]> {
  const violations: Violation[] = [];
  for (const edge of await importEdges(files)) {
    const rule = violated(edge);
    if (rule) violations.push({ ...edge, rule });
  }
  return violations;
}

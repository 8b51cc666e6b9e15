import assert from "node:assert/strict";
import { importEdges, violated } from "./layers.ts";

const edge = (from: string, to: string, typeOnly = false) => ({ from, to, typeOnly });

Deno.test("violated() forbids packages that import one another and layers that look ahead", () => {
  const forbidden = [
    edge("gateway/app/main.ts", "factory/domain/profile.ts"),
    edge("shared/transport/x.ts", "device/card/card.ts"),
    edge("gateway/domain/limit.ts", "gateway/service/admit.ts"),
    edge("gateway/domain/limit.ts", "gateway/transport/listener.ts"),
    edge("shared/protocol/scp03/keys.ts", "shared/transport/hsm.ts"),
    edge("factory/app/main.ts", "cli/main.ts"),
    edge("factory/app/main.ts", "tests/vectors/load.ts"),
    edge("shared/base/bytes.ts", "shared/crypto/aes.ts"),
  ];
  for (const each of forbidden) assert.notEqual(violated(each), undefined, `${each.from} -> ${each.to}`);
});

Deno.test("violated() allows the way down, shared/, types of ports, and tests beside their files", () => {
  const allowed = [
    edge("gateway/app/main.ts", "gateway/service/admit.ts"),
    edge("gateway/service/admit.ts", "shared/base/bytes.ts"),
    edge("factory/domain/personalization/step.ts", "shared/transport/card_channel.ts", true),
    edge("factory/service/station_test.ts", "tests/environment/pcscd.ts"),
    edge("cli/demo.ts", "gateway/app/main.ts"),
  ];
  for (const each of allowed) assert.equal(violated(each), undefined, `${each.from} -> ${each.to}`);
});

Deno.test("importEdges() sees aliases, dynamic imports and type-only imports of a planted tree", async () => {
  const root = await Deno.makeTempDir();
  try {
    const files: Record<string, string> = {
      "deno.json": `{ "imports": { "factory/": "./factory/" } }`,
      "factory/domain/profile.ts": `export type Profile = string;\nexport const LIMIT = 1;\n`,
      "gateway/app/static.ts": `import { LIMIT } from "factory/domain/profile.ts";\nconsole.log(LIMIT);\n`,
      "gateway/app/dynamic.ts": `export const load = () => import("factory/domain/profile.ts");\n`,
      "gateway/app/types.ts": `import type { Profile } from "../../factory/domain/profile.ts";\n` +
        `export const profile: Profile = "";\n`,
    };
    for (const [path, text] of Object.entries(files)) {
      await Deno.mkdir(`${root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
      await Deno.writeTextFile(`${root}/${path}`, text);
    }
    const edges = await importEdges(Object.keys(files).filter((path) => path.endsWith(".ts")), root);
    const to = "factory/domain/profile.ts";
    assert.deepEqual(
      edges.filter((each) => each.to === to).sort((a, b) => a.from < b.from ? -1 : 1),
      [
        { from: "gateway/app/dynamic.ts", to, typeOnly: false },
        { from: "gateway/app/static.ts", to, typeOnly: false },
        { from: "gateway/app/types.ts", to, typeOnly: true },
      ],
    );
    for (const each of edges) assert.notEqual(violated(each), undefined);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

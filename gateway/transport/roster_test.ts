import assert from "node:assert/strict";
import { Roster, type Seat } from "./roster.ts";

Deno.test("A roster holds whoever came and has not left, through ten thousand comings and goings", () => {
  const roster = new Roster<number>();
  const model = new Map<number, Seat<number>>();
  let seed = 7;
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let i = 0; i < 10_000; i++) {
    if (model.size === 0 || random(2) === 0) model.set(i, roster.add(i));
    else {
      const [member, seat] = [...model][random(model.size)]!;
      assert.equal(roster.leave(seat), member);
      assert.equal(roster.leave(seat), undefined, "nobody leaves twice");
      assert.equal(seat.member, undefined);
      model.delete(member);
    }
    assert.equal(roster.size, model.size);
  }
  assert.deepEqual([...roster.members()].sort(), [...model.keys()].sort());
});

Deno.test("Who leaves while a roster is read is not met, and nobody else is missed", () => {
  const roster = new Roster<string>();
  const seats = ["a", "b", "c"].map((name) => roster.add(name));
  const met: string[] = [];
  for (const member of roster.members()) {
    met.push(member);
    if (member === "a") {
      roster.leave(seats[1]!);
      roster.add("d");
    }
  }
  assert.deepEqual(met, ["a", "c"]);
  assert.equal(new Roster<string>().leave(seats[0]!), undefined, "of another roster");
});

import assert from "node:assert/strict";
import { readJunit } from "./test.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="4" failures="2">
  <testsuite name="./a_test.ts" tests="4" failures="2">
    <testcase name="x &lt;&amp;&gt;" classname="./a_test.ts"></testcase>
    <testcase name="fails" classname="./a_test.ts">
      <failure message="Uncaught AssertionError: why
because &lt;a&gt;

1 !== 2
">AssertionError: why</failure>
    </testcase>
    <testcase name="skipped" classname="./a_test.ts"><skipped/></testcase>
    <testcase name="passes" classname="./a_test.ts" />
  </testsuite>
</testsuites>`;

Deno.test("readJunit() counts cases, says why one failed, and takes a skipped one for failed", () => {
  assert.deepEqual(readJunit(REPORT), {
    passed: 2,
    failures: [
      { name: "./a_test.ts fails", reason: "Uncaught AssertionError: why\nbecause <a>\n\n1 !== 2" },
      { name: "./a_test.ts skipped", reason: "" },
    ],
  });
});

Deno.test("readJunit() leaves out what a filter left out, and nothing else", () => {
  assert.deepEqual(readJunit(REPORT, "passes"), {
    passed: 2,
    failures: [{ name: "./a_test.ts fails", reason: "Uncaught AssertionError: why\nbecause <a>\n\n1 !== 2" }],
  });
  assert.equal(readJunit(REPORT, "skip").failures.length, 2);
});

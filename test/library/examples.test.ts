import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const folder = fileURLToPath(new URL("../../docs/examples/", import.meta.url));

/** What each example must print. */
const outputs: Record<string, (output: string) => void> = {
  "chat.mjs": (output) => {
    expect(output.match(/^> /gm)).toHaveLength(2);
    expect(output.match(/^\(\d+ tokens, ended by: (length|stop)\)$/gm)).toHaveLength(2);
    expect(output).toMatch(/[a-z]{3} [a-z]{2}/);
  },
  "many-prompts.mjs": (output) => {
    const lines = output.trim().split("\n");
    expect(lines).toHaveLength(12);
    for (const line of lines) expect(line).toMatch(/^[a-z]+: ?\S.* \(\d+ tokens shared\)$/);
  },
  "json-schema.mjs": (output) => {
    expect(output).toMatch(/name: '(Lily|Tim|Spot)'/);
    expect(output).toMatch(/age: ([1-9]|1[0-2])\b/);
    expect(output).toMatch(/toys: \[( '(ball|doll|car)',?){1,3} \]/);
  },
  "embeddings.mjs": (output) => {
    const cosines = output.trim().split("\n").map(Number.parseFloat);
    expect(cosines).toHaveLength(3);
    for (const cosine of cosines) expect(Math.abs(cosine)).toBeLessThanOrEqual(1.001);
  },
  "cancel.mjs": (output) => {
    const endings = output.match(/^(.*): (cancelled|time|stop), "/gm);
    expect(endings).toEqual([
      'cancel(): cancelled, "',
      'signal: cancelled, "',
      'time limit: time, "',
      'stop string: stop, "',
    ]);
  },
};

it("every example has its output described here", () => {
  expect(readdirSync(folder).filter((name) => name.endsWith(".mjs"))).toEqual(Object.keys(outputs).sort());
});

it.each(Object.entries(outputs))("%s", async (name, expectOutput) => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [`${folder}${name}`], {
    env: { ...process.env, JAUGE_BACKEND: "cpu" },
  });
  expect(stderr).toBe("");
  expectOutput(stdout);
});

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { configArchitectures } from "../../src/convert/architectures/known.js";
import { mixNames } from "../../src/quantize/mixes.js";

it.each([
  ["kind of model", configArchitectures],
  ["quantisation mix", mixNames],
])("docs/SOURCES.md names every %s", (_, names) => {
  const text = readFileSync(new URL("../../docs/SOURCES.md", import.meta.url), "utf8");
  expect(names.filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
});

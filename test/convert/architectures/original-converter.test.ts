import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { knownModel } from "../../../src/convert/architectures/known.js";
import type { ConvertibleTensor } from "../../../src/convert/model.js";
import type { WritableValue } from "../../../src/gguf/encode.js";
import { converted, randomCheckpoint, rowsOf } from "./random-model.js";
import { tinyConfigs } from "./tiny-configs.js";

interface Original {
  metadata: Record<string, unknown>;
  /** Type, shape and the beginning of the SHA-256 of the data. */
  tensors: Record<string, string>;
}

/** What llama.cpp's own converter made of the same weights; test/fixtures/README.md says how. */
const originals: Record<string, Original> = JSON.parse(
  readFileSync(new URL("../../fixtures/architectures/converted.json", import.meta.url), "utf8"),
);

describe("a conversion to F32 is that of llama.cpp's converter, byte for byte", () => {
  it.each(Object.keys(tinyConfigs))("%s", async (name) => {
    const { blueprint } = knownModel(tinyConfigs[name], name);
    const { metadata, tensors } = converted(blueprint, randomCheckpoint(blueprint), name);
    const found = Array.from(metadata, ([key, value]) => [key, plainValue(value)]);
    expect(Object.fromEntries(found)).toEqual(originals[name]!.metadata);
    const described = await Promise.all(
      tensors.map(async (tensor) => [tensor.name, await description(tensor)] as const),
    );
    expect(Object.fromEntries(described)).toEqual(originals[name]!.tensors);
  });
});

async function description(tensor: ConvertibleTensor): Promise<string> {
  const hash = createHash("sha256");
  for await (const rows of rowsOf(tensor)) hash.update(rows);
  return `${tensor.type} ${tensor.shape.join("x")} ${hash.digest("hex").slice(0, 8)}`;
}

function plainValue({ type, value }: WritableValue): unknown {
  if (type === "float32") return Math.fround(value);
  return type === "array" && "items" in value ? value.items : value;
}

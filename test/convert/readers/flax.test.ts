import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../../src/convert/readers/open-checkpoint.js";
import { failure } from "../../engine/harness.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { elementsOf, torchNames } from "./checkpoint-files.js";
import { array, flaxFixture, flaxStream, text } from "./flax-files.js";

const temporary = temporaryFolder();

interface Expected {
  shape: number[];
  type: string;
  values: number[];
}
const expected = JSON.parse(await readFile(flaxFixture("expected.json"), "utf8")) as Record<
  string,
  Record<string, Expected>
>;

/** Meta's name for EasyLM's, behind what flax puts in front. */
function metaName(name: string): string {
  return name
    .replace(/^(params\.)+/, "")
    .replace("transformer.wte.embedding", "tok_embeddings.weight")
    .replace("transformer.ln_f.kernel", "norm.weight")
    .replace("lm_head.kernel", "output.weight")
    .replace("transformer.h.", "layers.")
    .replace(/kernel$/, "weight");
}

describe.each(Object.entries(expected))("%s, written by flax", (file, arrays) => {
  it("holds the tensors of a LLaMA, matrices turned to outputs by inputs", async () => {
    const checkpoint = await openCheckpoint(flaxFixture(file));
    expect(checkpoint.format).toBe("EasyLM");
    const weights = Object.entries(arrays).filter(([name]) => name.startsWith("params."));
    expect([...checkpoint.tensors.keys()]).toEqual(weights.map(([name]) => metaName(name)));
    for (const [name, { shape, type, values }] of weights) {
      const tensor = checkpoint.tensors.get(metaName(name))!;
      const [rows = 0, columns = 1] = shape;
      const isTurned = shape.length === 2 && !name.includes("wte");
      const turned = isTurned
        ? values.map((_, index) => values[(index % rows) * columns + Math.floor(index / rows)]!)
        : values;
      expect([name, tensor.type, tensor.shape]).toEqual([
        ...[name, torchNames[type], isTurned ? shape.toReversed() : shape],
      ]);
      expect(await elementsOf(tensor), name).toEqual(turned);
      for (const [first, length] of [
        [1, 3],
        [2, values.length - 2],
        [values.length - 1, 1],
      ] as const)
        expect(await elementsOf(tensor, first, length), name).toEqual(turned.slice(first, first + length));
    }
    await checkpoint.close();
  });
});

const kernel = ["params", "lm_head", "kernel"];
const small = { shape: [2, 3], type: "F32", data: new Uint8Array(24) } as const;

it("arrays in parts of any length are one", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 15 }), async (rows, part) => {
      const values = Float32Array.from({ length: rows * 5 }, (_, index) => index);
      const data = new Uint8Array(values.buffer);
      // as many parts as a map of few entries holds
      const chunkBytes = 4 * Math.max(part, Math.ceil(values.length / 15));
      const tensor = { shape: [rows, 5], type: "F32", data, chunkBytes } as const;
      const path = await temporary.file("parts", flaxStream([[["transformer", "wte", "embedding"], tensor]]));
      const checkpoint = await openCheckpoint(path);
      const found = checkpoint.tensors.get("tok_embeddings.weight")!;
      expect(await elementsOf(found)).toEqual([...values]);
      for (let first = 0; first < values.length; first += 4)
        expect(await elementsOf(found, first)).toEqual([...values.slice(first)]);
      await checkpoint.close();
    }),
    { numRuns: 20 },
  );
});

const whole = flaxStream([[kernel, small]]);
it.each<[string, Buffer, string, string]>([
  ["ends early", whole.subarray(0, -1), "checkpoint-truncated", "params.lm_head.kernel"],
  ["ends after a name", whole.subarray(0, 20), "checkpoint-truncated", "record 1"],
  [
    "holds a tensor of another model",
    flaxStream([[["gpt", "wte"], small]]),
    "checkpoint-unsupported",
    "gpt.wte",
  ],
  [
    "holds an unknown type",
    flaxStream([[kernel, { ...small, type: "U8", data: new Uint8Array(6) }]]),
    "checkpoint-unsupported",
    "params.lm_head.kernel",
  ],
  [
    "has fewer bytes than its shape asks for",
    flaxStream([[kernel, { ...small, shape: [3, 3] }]]),
    "checkpoint-malformed",
    "params.lm_head.kernel",
  ],
  [
    "has more dimensions than any",
    flaxStream([[kernel, { ...small, shape: [2 ** 31, 2 ** 31] }]]),
    "checkpoint-malformed",
    "params.lm_head.kernel",
  ],
  [
    "has a matrix of one dimension",
    flaxStream([[kernel, { ...small, shape: [6] }]]),
    "checkpoint-malformed",
    "lm_head.kernel",
  ],
  [
    "has something behind an array",
    Buffer.concat([
      ...[Buffer.of(0x92, 0x91), text("lm_head"), Buffer.of(0xc4, array(small).length + 1)],
      ...[array(small), Buffer.of(0xc0)],
    ]),
    "checkpoint-malformed",
    "lm_head",
  ],
  [
    "has a code that means nothing",
    Buffer.concat([Buffer.of(0x92, 0x91), text("lm_head"), Buffer.of(0xc4, 1, 0xc1)]),
    "checkpoint-malformed",
    "lm_head",
  ],
  [
    "has more entries than bytes",
    Buffer.concat([
      ...[Buffer.of(0x92, 0x91), text("lm_head"), Buffer.of(0xc4, 5, 0xdf, 0xff, 0xff, 0xff, 0xff)],
      whole,
    ]),
    "checkpoint-malformed",
    "lm_head",
  ],
  [
    "is nested without an end",
    Buffer.concat([
      ...[Buffer.of(0x92, 0x91), text("lm_head"), Buffer.of(0xc4, 121)],
      ...Array.from({ length: 40 }, () => Buffer.from("\x81\xa1a", "latin1")),
      Buffer.of(0xc0),
    ]),
    "checkpoint-malformed",
    "lm_head.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a",
  ],
  [
    "has no tensors",
    Buffer.concat([Buffer.of(0x92, 0x91), text("step"), Buffer.of(0xc4, 1, 0x05)]),
    "checkpoint-malformed",
    "stream",
  ],
  ["has the same tensor twice", Buffer.concat([whole, whole]), "checkpoint-malformed", "output.weight"],
])("a stream that %s is refused", async (_, bytes, code, field) => {
  const path = await temporary.file("broken", bytes);
  expect(await failure(openCheckpoint(path))).toMatchObject({ code, facts: { field } });
});

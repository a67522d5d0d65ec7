import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { copyModel } from "../../src/convert/conversion.js";
import type { ConvertibleModel } from "../../src/convert/model.js";
import { type Division, outputFiles } from "../../src/convert/output-files.js";
import { type TypeWishes, targetTypes } from "../../src/convert/target-types.js";
import { isJaugeError } from "../../src/errors.js";
import { readModel } from "../../src/gguf/model-file.js";
import type { TensorTypeName } from "../../src/gguf/tensor-types.js";
import { copyKernels } from "../../src/quantize/kernels.js";
import { weightedTensors } from "../../src/quantize/weighted-tensors.js";
import { storiesPath, temporaryFolder } from "../gguf/temporary.js";
import { modelDouble } from "./model-double.js";

const temporary = temporaryFolder();
const codeOf = (action: () => unknown) => {
  try {
    action();
    return "done";
  } catch (error) {
    return isJaugeError(error) ? error.code : String(error);
  }
};

describe("a copy of a model", () => {
  const copy = (source: string, output: string, division: Division) =>
    copyModel(
      { copy: true, source, output, division, threads: 2 },
      { kernels: copyKernels, version: "test" },
    );

  it.each([
    ["tensors", { kind: "limited", tensors: 10 }],
    ["bytes", { kind: "limited", bytes: 200_000 }],
  ] as const)("divided by %s and joined again is the model", async (name, division) => {
    const whole = temporary.path(`${name}-whole.gguf`);
    await copy(storiesPath, whole, { kind: "whole", order: "source" });
    await copy(storiesPath, temporary.path(`${name}.gguf`), division);
    const count = name === "tensors" ? 5 : (await partsOf(name)).length;
    const first = temporary.path(`${name}-00001-of-${String(count).padStart(5, "0")}.gguf`);
    const parts = (await readModel(first)).shards;
    expect(parts.length).toBeGreaterThan(2);
    for (const { tensors } of parts) {
      expect(tensors.length).toBeLessThanOrEqual(name === "tensors" ? 10 : 48);
      const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
      if (name === "bytes" && tensors.length > 1) expect(bytes).toBeLessThanOrEqual(200_000);
    }
    const joined = temporary.path(`${name}-joined.gguf`);
    await copy(first, joined, { kind: "whole", order: "source" });
    expect((await readFile(joined)).equals(await readFile(whole))).toBe(true);
    const [original, found] = [await readModel(storiesPath), await readModel(joined)];
    expect([...found.metadata.keys()]).toEqual([...original.metadata.keys()]);
    expect(found.tensors.map(({ name: tensor, type }) => [tensor, type])).toEqual(
      original.tensors.map(({ name: tensor, type }) => [tensor, type]),
    );
  });

  async function partsOf(name: string) {
    const { readdir } = await import("node:fs/promises");
    return (await readdir(temporary.path("."))).filter((file) => file.startsWith(`${name}-0`));
  }
});

describe("the types of a conversion", () => {
  const model = (changes: Partial<ConvertibleModel["tensors"][number]>[]): ConvertibleModel => {
    const double = modelDouble(changes.map(() => [256, 64]));
    return { ...double, tensors: double.tensors.map((tensor, at) => ({ ...tensor, ...changes[at] })) };
  };
  const types = (changes: Parameters<typeof model>[0], wishes: TypeWishes) =>
    targetTypes(model(changes), wishes);

  it("leave alone what is not a matter of choice", () => {
    const tensors = [
      { name: "blk.0.ffn_up.weight", type: "BF16" as const },
      { name: "blk.0.ffn_norm.weight", type: "BF16" as const, keepAs: "F32" as const },
      { name: "blk.0.ffn_up_exps.weight", type: "MXFP4" as const, keepAs: "MXFP4" as const },
      { name: "blk.0.ssm_conv1d.weight", type: "F32" as const },
    ];
    expect(types(tensors, { type: "auto" })).toEqual(["BF16", "F32", "MXFP4", "BF16"]);
    expect(types(tensors, { type: "F16" })).toEqual(["F16", "F32", "MXFP4", "F16"]);
    expect(types(tensors, { type: "Q4_0" })).toEqual(["Q4_0", "F32", "MXFP4", "BF16"]);
    const named: TypeWishes = { type: "Q4_0", tensorTypes: [{ pattern: "ffn_up", type: "Q8_0" }] };
    expect(codeOf(() => types(tensors, named))).toBe("requantise-refused");
    expect(types(tensors, { ...named, allowRequantize: true })).toEqual(["Q8_0", "F32", "Q8_0", "BF16"]);
  });

  it("are refused where rows cannot have them, or where quality is lost twice", () => {
    const odd = [{ name: "output.weight", shape: [100, 64] }];
    expect(codeOf(() => types(odd, { type: "Q4_K_M", outputType: "Q6_K" }))).toBe("tensor-type-unfit");
    const quantised = [{ name: "output.weight", type: "Q8_0" as const }];
    expect(codeOf(() => types(quantised, { type: "Q4_0" }))).toBe("requantise-refused");
    expect(types(quantised, { type: "Q8_0" })).toEqual(["Q8_0"]);
  });

  it("wished for by a pattern that changes nothing are refused, with the names that are nearest", () => {
    const named = (...names: string[]) => model(names.map((name) => ({ name })));
    const wish = (pattern: string): TypeWishes => ({
      type: "Q4_0",
      tensorTypes: [{ pattern, type: "Q8_0" }],
    });
    const tensors = named("token_embd.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight");
    const layers = named(
      "blk.0.ffn_up.weight",
      "blk.0.ffn_norm.weight",
      "blk.1.ffn_up.weight",
      "output.weight",
    );
    const errorOf = (source: ConvertibleModel, pattern: string) => {
      try {
        return targetTypes(source, wish(pattern));
      } catch (error) {
        return isJaugeError(error) && { code: error.code, ...error.facts };
      }
    };
    expect(errorOf(tensors, "ATTN_Q")).toEqual(["Q6_K", "Q8_0", "Q4_0"]);
    const path = "made up";
    const unmatched = { code: "tensor-type-unmatched", path, type: "Q8_0" };
    expect(errorOf(tensors, "fnn_down")).toEqual({
      ...{ ...unmatched, pattern: "fnn_down" },
      names: ["blk.0.ffn_down.weight", "blk.0.attn_q.weight", "token_embd.weight"],
    });
    expect(errorOf(layers, "^blk\\.[0-9]+\\.ffn_upp\\.weight$")).toMatchObject({
      names: ["blk.0.ffn_up.weight", "blk.0.ffn_norm.weight", "output.weight"],
    });
    expect(errorOf(layers, "ffn_norm")).toEqual({
      ...{ code: "tensor-type-fixed", pattern: "ffn_norm", type: "Q8_0" },
      ...{ tensor: "blk.0.ffn_norm.weight", kept: "BF16" },
    });
    // beside others, or where it is what it gets anyway, it does no harm
    expect(errorOf(layers, "ffn_")).toEqual(["Q8_0", "BF16", "Q8_0", "Q6_K"]);
    const same: TypeWishes = { type: "Q4_0", tensorTypes: [{ pattern: "ffn_norm", type: "BF16" }] };
    expect(targetTypes(layers, same)).toEqual(["Q4_0", "BF16", "Q4_0", "Q6_K"]);
  });

  it("of few bits need a matrix of the right size", () => {
    const tensor = (name: string, type: TensorTypeName) => [
      { name, type, from: "F16" as const, shape: [256, 8, 2] },
    ];
    const matrix = (values: number) =>
      ({ path: "x", entries: new Map([["a.weight", { values }]]) }) as unknown as Parameters<
        typeof weightedTensors
      >[2];
    expect(codeOf(() => weightedTensors(tensor("a.weight", "IQ2_S"), "IQ2_S", undefined))).toBe(
      "importance-needed",
    );
    expect([...weightedTensors(tensor("a.weight", "IQ2_S"), "IQ2_S", matrix(512))]).toEqual(["a.weight"]);
    expect(codeOf(() => weightedTensors(tensor("a.weight", "Q4_0"), "Q4_0", matrix(256)))).toBe(
      "importance-size",
    );
    expect(codeOf(() => weightedTensors(tensor("output.weight", "Q2_K"), "Q2_K_S", undefined))).toBe("done");
    expect(codeOf(() => weightedTensors(tensor("b.weight", "Q2_K"), "Q2_K_S", matrix(512)))).toBe(
      "importance-needed",
    );
    // of a mix with a name of its own, both are named
    const mixed = () => weightedTensors(tensor("a.weight", "IQ2_S"), "IQ2_M", undefined);
    expect(mixed).toThrow(/IQ2_S, of the mix IQ2_M, is worth nothing/);
    // ggml aborts without, whatever the tensor
    expect(codeOf(() => weightedTensors(tensor("output.weight", "IQ2_XS"), "Q4_0", undefined))).toBe(
      "importance-needed",
    );
  });
});

it("a model of one part is named as it was asked for where the source is not divided", () => {
  const model = modelDouble([[32, 2]]);
  const files = outputFiles("out.gguf", model, ["F32"], model.metadata, { kind: "as-source" });
  expect(files.map(({ path }) => path)).toEqual(["out.gguf"]);
});

import { mkdir } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { fileTypes } from "../../src/gguf/outline.js";
import { readGguf } from "../../src/gguf/reader.js";
import { tensorTypes } from "../../src/gguf/tensor-types.js";
import { sourceFromConfig } from "../../src/planner/sources/from-config.js";
import type { HeaderSource } from "../../src/planner/sources/header-source.js";
import { requantised } from "../../src/planner/sources/requantised.js";
import {
  fileTypeOf,
  type MixName,
  mixNamed,
  mixNames,
  needsImportanceMatrix,
  tensorTypesOfMix,
} from "../../src/quantize/mixes.js";
import { isQuantisable } from "../../src/quantize/quantisable.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { writeWithoutVocabulary, zeros } from "../gguf/tensors.js";
import { publicConfigs } from "../planner/sources/public-configs.js";
import { nativeLogs, nativeTypes } from "./native.js";

const temporary = temporaryFolder();

describe("the types of a mix", () => {
  it("have names and numbers as files have them", () => {
    for (const mix of mixNames) expect(fileTypes[fileTypeOf(mix)]).toBe(mix);
    expect(mixNamed("q4_k_m")).toBe("Q4_K_M");
    expect(mixNamed("Q4_K_L")).toBeUndefined();
  });

  it.each(Object.keys(publicConfigs))("are those that llama.cpp would choose: %s", async (name) => {
    const source = sourceFromConfig(publicConfigs[name], { name, mix: "F16" });
    await mkdir(temporary.path(name));
    const ghost = await source.writeGhost(temporary.path(name));
    // llama.cpp ends with an error where rows do not divide into the blocks of these: no other type stands in.
    const cannotBe = ({ blockElements }: { blockElements: number }) =>
      source.tensors.some((tensor) => isQuantisable(tensor) && tensor.shape[0]! % blockElements !== 0);
    const possible = mixNames.filter(
      (mix) => (mix !== "Q1_0" && mix !== "Q2_0") || !cannotBe(tensorTypes[mix]),
    );
    const choices = possible.flatMap((mix) => [
      { mix, importanceMatrix: false },
      { mix, importanceMatrix: true },
    ]);
    const native = await nativeTypes(
      temporary.path(`${name}.log`),
      choices.map(({ mix, importanceMatrix }) => ({
        input: ghost,
        output: temporary.path("never-written"),
        fileType: fileTypeOf(mix),
        dry: true,
        importanceMatrix,
      })),
    );
    for (const [index, { mix, importanceMatrix }] of choices.entries()) {
      const found = typesByName(requantised(source, mix, { importanceMatrix }));
      const expected = { ...typesByName(source), ...Object.fromEntries(native[index]!) };
      expect(found, `${mix}, importance matrix: ${importanceMatrix}`).toEqual(expected);
      if (mix !== "F16") expect(native[index]!.size).toBeGreaterThan(0);
    }
  });

  it.each(["Q4_K_M", "Q3_K_M", "Q2_K", "Q5_0", "Q8_0", "IQ4_XS", "MXFP4_MOE", "BF16"] as MixName[])(
    "are those of a file that llama.cpp has quantised: %s",
    async (mix) => {
      for (const [name, config] of Object.entries(smallConfigs)) {
        const source = sourceFromConfig(config, { name, mix: "F16" });
        const input = temporary.path(`${name}-${mix}-f16.gguf`);
        const output = temporary.path(`${name}-${mix}.gguf`);
        await writeWithoutVocabulary(input, source, zeros);
        await nativeTypes(temporary.path("real.log"), [
          { input, output, fileType: fileTypeOf(mix), dry: false },
        ]);
        const header = await readGguf(output);
        const expected = Object.fromEntries(header.tensors.map((tensor) => [tensor.name, tensor.type]));
        expect(typesByName(requantised(source, mix)), name).toEqual(expected);
        expect(header.metadata.number("general.file_type")).toBe(fileTypeOf(mix));
        const bytes = header.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
        expect(requantised(source, mix).outline.bytes.total).toBe(bytes);
      }
    },
  );

  it("are of mixes that cannot be made without an importance matrix where llama.cpp says so", async () => {
    const source = sourceFromConfig(publicConfigs["llama-2-7b"], { mix: "F16" });
    await mkdir(temporary.path("matrix"));
    const input = await source.writeGhost(temporary.path("matrix"));
    const jobs = mixNames.map((mix) => ({ input, output: "", fileType: fileTypeOf(mix), dry: true }));
    const logs = await nativeLogs(temporary.path("matrix.log"), jobs);
    for (const [index, mix] of mixNames.entries())
      expect(needsImportanceMatrix(mix), mix).toBe(logs[index]!.includes("will require an imatrix"));
  });

  it("do not depend on the order in which tensors are given", () => {
    const { tensors } = sourceFromConfig(publicConfigs["llama-2-70b"], { mix: "F16" });
    const model = { architecture: "llama", layers: 80, heads: 64, kvHeads: 8, experts: 0 };
    const forwards = tensorTypesOfMix("Q4_K_M", { ...model, tensors });
    const backwards = tensorTypesOfMix("Q4_K_M", { ...model, tensors: tensors.toReversed() });
    expect(backwards.toReversed()).toEqual(forwards);
  });
});

/** Small enough to be quantised for real: grouped heads, tied, 8 and 4 experts, rows of no whole block. */
const small = {
  model_type: "llama",
  hidden_size: 256,
  intermediate_size: 512,
  max_position_embeddings: 128,
  num_attention_heads: 8,
  num_hidden_layers: 16,
  num_key_value_heads: 2,
  rms_norm_eps: 1e-5,
  vocab_size: 128,
};
const smallConfigs: Record<string, Record<string, unknown>> = {
  grouped: small,
  tied: { ...small, tie_word_embeddings: true, num_key_value_heads: 8 },
  "8 experts": { ...small, model_type: "mixtral", num_local_experts: 8, num_experts_per_tok: 2 },
  "4 experts": { ...small, model_type: "mixtral", num_local_experts: 4, num_experts_per_tok: 1 },
  "odd rows": {
    ...small,
    hidden_size: 160,
    intermediate_size: 352,
    num_attention_heads: 5,
    num_key_value_heads: 5,
  },
};

function typesByName({ tensors }: HeaderSource): Record<string, string> {
  return Object.fromEntries(tensors.map(({ name, type }) => [name, type]));
}

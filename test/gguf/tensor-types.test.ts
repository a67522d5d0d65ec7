import { readdirSync } from "node:fs";
import { join } from "node:path";
import koffi from "koffi";
import { describe, expect, it } from "vitest";
import { tensorBytes, tensorTypeById, tensorTypes } from "../../src/gguf/tensor-types.js";
import { librariesFolder } from "./native.js";

describe("tensor types", () => {
  it("are those of ggml, one by one", () => {
    const folder = librariesFolder();
    if (!folder) return;
    const name = readdirSync(folder).find((file) => /ggml-base\./.test(file))!;
    const ggml = koffi.load(join(folder, name));
    const blockSize = ggml.func("int64_t ggml_blck_size(int type)");
    const typeSize = ggml.func("size_t ggml_type_size(int type)");
    const typeName = ggml.func("const char * ggml_type_name(int type)");
    const isQuantised = ggml.func("bool ggml_is_quantized(int type)");
    for (let id = 0; id < 43; id++) {
      const type = tensorTypeById(id);
      if (!type) {
        expect(Number(blockSize(id)), `type ${id}`).toBe(0);
        continue;
      }
      expect(typeName(id).toUpperCase()).toBe(type);
      const { blockElements, blockBytes, quantised } = tensorTypes[type];
      expect([blockElements, blockBytes, quantised]).toEqual([
        Number(blockSize(id)),
        Number(typeSize(id)),
        isQuantised(id),
      ]);
    }
    expect(tensorTypeById(43)).toBeUndefined();
  });

  it("give the bytes of a shape", () => {
    expect(tensorBytes("F32", [64, 512])).toBe(131_072);
    expect(tensorBytes("Q4_K", [4096, 32_000])).toBe((4096 / 256) * 144 * 32_000);
    expect(tensorBytes("F16", [])).toBe(2);
  });

  it("refuse shapes that cannot be", () => {
    expect(tensorBytes("Q4_0", [33])).toBeUndefined();
    expect(tensorBytes("F32", [0, 4])).toBeUndefined();
    expect(tensorBytes("F32", [2 ** 40, 2 ** 40])).toBeUndefined();
    expect(tensorBytes("F64", [2 ** 52, 1])).toBeUndefined();
  });
});

import { readFile, rm } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { isJaugeError } from "../../src/errors.js";
import { readModel } from "../../src/gguf/model-file.js";
import { outlineOf } from "../../src/gguf/outline.js";
import { validateModel } from "../../src/gguf/validate.js";
import { mutate, seeded } from "./mutate.js";
import { librariesFolder, NativeOracle } from "./native.js";
import { storiesPath, temporaryFolder } from "./temporary.js";

const temporary = temporaryFolder();
const stories = await readFile(storiesPath);
const folder = librariesFolder();
const oracle = folder ? new NativeOracle(folder) : undefined;
afterAll(() => oracle?.close());

describe("a hostile file", () => {
  // bench/fuzz-gguf.ts runs ten thousand of these
  it("is refused with a typed error, or llama.cpp survives it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const { bytes, story } = mutate(stories, seeded(seed));
        const path = await temporary.file("mutant.gguf", bytes);
        try {
          const model = await readModel(path);
          await validateModel(model);
          outlineOf(model);
        } catch (error) {
          if (!isJaugeError(error)) throw error;
          return;
        }
        const outcome = await oracle?.load(path);
        expect(["ran", "refused", undefined], story).toContain(outcome?.kind);
        await rm(path);
      }),
      { seed: 1, numRuns: 400, endOnFailure: true },
    );
  });
});

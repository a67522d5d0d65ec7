import { readFile, rm } from "node:fs/promises";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { isJaugeError } from "../../src/errors.js";
import { readModel } from "../../src/gguf/model-file.js";
import { outlineOf } from "../../src/gguf/outline.js";
import { validateModel } from "../../src/gguf/validate.js";
import { mutate } from "./mutate.js";
import { librariesFolder, NativeOracle } from "./native.js";
import { seeded } from "./random.js";
import { storiesPath, temporaryFolder } from "./temporary.js";
import { variantsOf } from "./variants.js";

const temporary = temporaryFolder();
const variants = variantsOf(await readFile(storiesPath));
const folder = librariesFolder();
const oracle = folder ? new NativeOracle(folder) : undefined;
afterAll(() => oracle?.close());

describe.each(variants)("with a vocabulary like $name", ({ name, bytes: original }) => {
  it("the model runs as it is", async () => {
    const path = await temporary.file(`${name}.gguf`, original);
    await expect(validateModel(await readModel(path))).resolves.toBeUndefined();
    if (oracle) expect(await oracle.load(path)).toMatchObject({ kind: "ran" });
  });

  // bench/fuzz-gguf.ts runs ten thousand of these
  it("a hostile file is refused with a typed error, or llama.cpp survives it", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), async (seed) => {
        const { bytes, story } = mutate(original, seeded(seed));
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
      { seed: 1, numRuns: 60, endOnFailure: true },
    );
  });
});

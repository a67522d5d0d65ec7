import { describe, expect, it } from "vitest";
import { configArchitectures, knownModel } from "../../../src/convert/architectures/known.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { engineLogits } from "./engine-logits.js";
import { randomCheckpoint, writeConverted } from "./random-model.js";
import { tinyConfigs, vocabularySize } from "./tiny-configs.js";

const temporary = temporaryFolder();
const tokens = [1, 260, 300, 17, 301, 2, 280, 299];

describe("a converted model of random weights", () => {
  it.each(Object.keys(tinyConfigs))("loads and gives finite logits: %s", async (name) => {
    const { blueprint } = knownModel(tinyConfigs[name], name);
    const path = temporary.path(`${name}.gguf`);
    await writeConverted(path, blueprint, randomCheckpoint(blueprint));
    const logits = await engineLogits(path, tokens);
    expect(logits).toHaveLength(tokens.length);
    for (const row of logits) {
      expect(row).toHaveLength(vocabularySize);
      expect(row.every(Number.isFinite)).toBe(true);
      // they depend on the weights
      expect(Math.max(...row) - Math.min(...row)).toBeGreaterThan(0.1);
    }
  });

  it("is there for every known kind", () => {
    const types = new Set(Object.values(tinyConfigs).map(({ model_type }) => model_type));
    // other names of the same kind
    const aliases = ["gemma3", "refinedweb", "refinedwebmodel", "stablelm_epoch"];
    expect([...types, ...aliases].toSorted()).toEqual([...configArchitectures].toSorted());
  });
});

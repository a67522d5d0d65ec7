import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, it } from "vitest";
import { openCheckpoint } from "../../../src/convert/readers/open-checkpoint.js";
import { isJaugeError } from "../../../src/errors.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { counting, safetensorsFile, torchFixture } from "./checkpoint-files.js";
import { flaxFixture } from "./flax-files.js";
import { mutations, readAll } from "./mutate-checkpoint.js";

const temporary = temporaryFolder();
const originals = [
  ["safetensors", safetensorsFile({ a: counting([3, 4]), b: counting([5]) }, { format: "pt" })],
  ["zip-protocol-2.pth", await readFile(torchFixture("zip-protocol-2.pth"))],
  ["zip-protocol-4.pth", await readFile(torchFixture("zip-protocol-4.pth"))],
  ["stream-protocol-2.pth", await readFile(torchFixture("stream-protocol-2.pth"))],
  ["params-bfloat16", await readFile(flaxFixture("params-bfloat16"))],
  ["params-chunked", await readFile(flaxFixture("params-chunked"))],
  ["trainer.pth", await readFile(torchFixture("trainer.pth"))],
] as const;

// bench/fuzz-readers.ts runs thousands of these
describe.each(originals)("mutations of %s", (name, original) => {
  it("are read, or refused with a typed error", async () => {
    await fc.assert(
      fc.asyncProperty(mutations(original.length), async (mutate) => {
        const path = await temporary.file(`mutant-${name}`, mutate(original));
        try {
          const checkpoint = await openCheckpoint(path);
          await readAll(checkpoint).finally(() => checkpoint.close());
        } catch (error) {
          if (!isJaugeError(error)) throw error;
        }
      }),
      { numRuns: 60 },
    );
  });
});

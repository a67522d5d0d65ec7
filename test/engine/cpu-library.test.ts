import { readdirSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import koffi, { type LibraryHandle } from "koffi";
import { describe, expect, it } from "vitest";
import { roundToF16 } from "../../src/convert/adapters/rounding.js";
import { openCpuLibrary } from "../../src/engine/native/cpu-library.js";
import { findLibraries } from "../../src/engine/native/libraries.js";
import { NativeRoom, openQuantizer } from "../../src/engine/native/quantizer.js";
import { temporaryFolder } from "../gguf/temporary.js";

const temporary = temporaryFolder();
const libraries = findLibraries({ backend: "cpu" });
const native = openQuantizer(libraries);

describe("floats rounded to F16", () => {
  it.each(["ggml-cpu", "ggml-base, where no ggml-cpu can be used"])(
    "by %s are the nearest, ties even",
    async (by) => {
      const empty = temporary.path("none");
      await mkdir(empty, { recursive: true });
      const quantizer = by === "ggml-cpu" ? native : openQuantizer({ ...libraries, directory: empty });
      const values = interesting();
      // a row that no vector divides
      const floats = new NativeRoom(4 * values.length);
      const halves = new NativeRoom(2 * values.length);
      floats.floats.set(values);
      quantizer.floatToFp16()(floats.address, halves.address, values.length);
      const found = new Uint16Array(halves.bytes.buffer, 0, values.length);
      const expected = new Uint16Array(values.length);
      roundToF16(values, expected);
      let wrong = 0;
      for (let index = 0; index < values.length; index++) {
        const [is, shall] = [found[index]!, expected[index]!];
        // the bits of a NaN are the processor's
        const isRight = (shall & 0x7fff) > 0x7c00 ? (is & 0x7fff) > 0x7c00 : is === shall;
        if (!isRight) wrong++;
      }
      expect(wrong).toBe(0);
    },
  );
});

describe("the build of ggml-cpu", () => {
  it("is the one that says it suits this processor best", () => {
    const score = (library: LibraryHandle | undefined) =>
      Number(library?.func("ggml_backend_score", "int32", [])() ?? -1);
    const scores = readdirSync(libraries.directory)
      .filter((name) => name.includes("ggml-cpu-"))
      .map((name) => score(koffi.load(join(libraries.directory, name))));
    const found = openCpuLibrary(libraries.directory);
    expect(found).toBeDefined();
    // what it stands on stays loaded as long as this can be called
    expect(native.prepare).toBeDefined();
    if (scores.length > 0) expect(score(found)).toBe(Math.max(...scores));
  });

  it("is none where none can be loaded", async () => {
    await mkdir(temporary.path("broken"));
    await temporary.file("broken/libggml-cpu-haswell.so", "no library");
    await temporary.file("broken/libggml-cpu.so", "no library");
    expect(openCpuLibrary(temporary.path("broken"))).toBeUndefined();
  });
});

/** All BF16, all F16 with what is nearest to them in F32, the points between two of them, and those around these. */
function interesting(): Float32Array {
  const words: number[] = [];
  for (let bits = 0; bits < 2 ** 16; bits++) words.push((bits << 16) >>> 0);
  for (let half = 0; half < 0x7c00; half++) {
    const exponent = half >>> 10;
    const size = exponent === 0 ? half * 2 ** -24 : (1 + (half & 0x3ff) / 1024) * 2 ** (exponent - 15);
    const step = exponent === 0 ? 2 ** -24 : 2 ** (exponent - 25);
    for (const value of [size, size + step / 2]) {
      const [word = 0] = new Uint32Array(Float32Array.of(value).buffer);
      for (const near of [word - 1, word, word + 1]) if (near >= 0) words.push(near, near + 2 ** 31);
    }
  }
  return new Float32Array(Uint32Array.from([...words, 0]).buffer);
}

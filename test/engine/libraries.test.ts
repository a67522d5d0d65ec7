import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { Engine, listDevices } from "../../src/engine/engine.js";
import { findLibraries, llamaVersion } from "../../src/engine/native/libraries.js";
import { temporaryFolder } from "../gguf/temporary.js";
import { failure, storiesPlan } from "./harness.js";

const temporary = temporaryFolder();
const real = findLibraries({ backend: "cpu" });

/** A folder with links to all the libraries of the CPU build, save some; and files of its own. */
async function folder(
  name: string,
  without: RegExp,
  files: Record<string, string | Uint8Array> = {},
): Promise<string> {
  const directory = temporary.path(name);
  await mkdir(directory);
  for (const file of await readdir(real.directory)) {
    if (!without.test(file)) await symlink(join(real.directory, file), join(directory, file));
  }
  for (const [file, bytes] of Object.entries(files)) await writeFile(join(directory, file), bytes);
  return directory;
}

const opening = (directory: string) => failure(Engine.open(storiesPlan(), { libraries: { directory } }));

describe("a folder of libraries", () => {
  it("is used where it holds the right ones", async () => {
    const directory = await folder("whole", /nothing/);
    const engine = await Engine.open(storiesPlan(), { libraries: { directory } });
    expect(engine.info.backend).toBe("custom");
    expect(engine.info.libraryVersion).toMatch(llamaVersion);
    expect((await engine.tokenize("Once upon a time")).length).toBeGreaterThan(3);
    await engine.close();
  });

  it("is none, or a file", async () => {
    for (const directory of [temporary.path("none"), await temporary.file("file", "")]) {
      expect(await opening(directory)).toMatchObject({
        code: "library-directory-unreadable",
        facts: { directory },
      });
    }
  });

  it.each([
    ["llama", /llama/],
    ["ggml", /^(lib)?ggml\./],
    ["ggml-base", /ggml-base/],
  ])("lacks %s", async (library, without) => {
    const directory = await folder(`no ${library}`, without);
    expect(await opening(directory)).toMatchObject({
      code: "library-directory-incomplete",
      facts: { directory, library },
    });
  });
});

// The files of a library are told apart by their format, which each system has its own of.
describe.runIf(process.platform === "linux")("a libllama", () => {
  let bytes: Buffer;
  beforeAll(async () => {
    bytes = await readFile(real.llama);
  });

  it.each<[string, () => string | Uint8Array]>([
    ["that is a text", () => "not a library"],
    ["that is empty", () => ""],
  ])("%s cannot be loaded", async (name, make) => {
    const directory = await folder(name, /libllama\./, { "libllama.so": make() });
    expect(await opening(directory)).toMatchObject({
      code: "library-unloadable",
      facts: { path: join(directory, "libllama.so") },
    });
  });

  it("that is another library has no version", async () => {
    const directory = await folder("other", /libllama\./, { "libllama.so": await readFile(real.ggmlBase) });
    expect(await opening(directory)).toMatchObject({
      code: "library-version",
      facts: { path: "libllama.so" },
    });
  });

  it("of another version is refused", async () => {
    const patched = Buffer.from(bytes);
    const at = patched.indexOf(`\0${llamaVersion}-dev\0`) + 1;
    expect(at).toBeGreaterThan(0);
    patched.write("0.6.1", at);
    const directory = await folder("version", /libllama\./, { "libllama.so": patched });
    expect(await opening(directory)).toMatchObject({
      code: "library-version",
      facts: { found: "0.6.1-dev", expected: llamaVersion },
    });
  });

  it("that is cut short may end the host, not the parent", async () => {
    const directory = await folder("cut", /libllama\./, { "libllama.so": bytes.subarray(0, 100_000) });
    expect((await opening(directory)).code).toMatch(/^(library-unloadable|host-crashed)$/);
  });

  it("without its dependencies cannot be loaded", async () => {
    const directory = await folder("lonely", /./, {
      "libllama.so": bytes,
      "libggml.so": "no library",
      "libggml-base.so": "no library",
    });
    expect(await opening(directory)).toMatchObject({ code: "library-unloadable" });
  });
});

describe("a backend", () => {
  it("that is made for no such platform is unavailable", async () => {
    const backend = process.platform === "darwin" ? "cuda" : "metal";
    expect(await failure(listDevices({ libraries: { backend } }))).toMatchObject({
      code: "backend-unavailable",
      facts: { backend },
    });
  });

  it("is found by itself", async () => {
    const devices = await listDevices();
    expect(devices.map(({ kind }) => kind)).toContain("cpu");
  });
});

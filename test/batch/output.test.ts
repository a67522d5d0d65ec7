import { linkSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { outputFile } from "../../src/batch/output.js";
import { isJaugeError } from "../../src/errors.js";
import { temporaryFolder } from "../cli/harness.js";

const codeOf = (path: string, input = "-") =>
  outputFile(path, input).then(
    () => "none",
    (error: unknown) => isJaugeError(error) && error.code,
  );

it("is one file under all its names, there or not", async () => {
  const folder = realpathSync(temporaryFolder());
  mkdirSync(join(folder, "real"));
  symlinkSync("real", join(folder, "linked"));
  writeFileSync(join(folder, "real", "there"), "");
  symlinkSync("real/there", join(folder, "to-there"));
  symlinkSync("linked/to-come", join(folder, "first"));
  symlinkSync(join(folder, "first"), join(folder, "second"));
  const found = (name: string) => outputFile(join(folder, name), "-");
  for (const name of ["real/there", "linked/there", "to-there"])
    expect(await found(name)).toBe(join(folder, "real", "there"));
  for (const name of ["real/to-come", "linked/to-come", "first", "second"])
    expect(await found(name)).toBe(join(folder, "real", "to-come"));
});

it("is refused where it is no file, the input or in no folder", async () => {
  const folder = temporaryFolder();
  const path = (name: string) => join(folder, name);
  writeFileSync(path("in"), "");
  linkSync(path("in"), path("hard"));
  symlinkSync("in", path("soft"));
  symlinkSync("round", path("round"));
  expect(await codeOf("-")).toBe("batch-output-no-file");
  expect(await codeOf("/dev/null")).toBe("batch-output-no-file");
  for (const name of ["in", "hard", "soft"])
    expect(await codeOf(path(name), path("in"))).toBe("batch-output-is-input");
  expect(await codeOf(path("round"))).toBe("batch-write-failed");
  expect(await codeOf(path("none/out"))).toBe("batch-write-failed");
  expect(await codeOf(path("in"), path("none"))).toBe("none");
});

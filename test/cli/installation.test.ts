import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root, temporaryFolder } from "./harness.js";

/** The package as it is installed, with the packages it depends on but none with inference libraries. */
function installWithoutLibraries(): string {
  const folder = temporaryFolder();
  for (const name of ["dist", "models", "package.json"])
    cpSync(join(root, name), join(folder, name), { recursive: true });
  const modules = join(folder, "node_modules");
  mkdirSync(modules);
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (!name.startsWith(".") && name !== "@node-llama-cpp")
      symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
  return folder;
}

it.runIf(process.platform === "linux" && process.arch === "x64")(
  "says what to install where the platform's libraries are missing",
  () => {
    const folder = installWithoutLibraries();
    const run = (backend: string) =>
      spawnSync(
        process.execPath,
        ["--preserve-symlinks", join(folder, "dist", "cli", "main.js"), "run", "-p", "Once"],
        {
          encoding: "utf8",
          env: { ...process.env, LC_ALL: "C", JAUGE_BACKEND: backend, JAUGE_LIB_DIR: "" },
        },
      );
    for (const [backend, suffix] of [
      ["cpu", ""],
      ["vulkan", "-vulkan"],
      ["cuda", "-cuda"],
    ] as const) {
      const { status, stderr, stdout } = run(backend);
      expect(stderr).toContain(`npm install @node-llama-cpp/linux-x64${suffix}@3.22.1`);
      expect(stdout).toBe("");
      expect(status).toBe(1);
    }
    // One that is made for no such machine.
    expect(run("metal").stderr).toMatch(/No metal libraries are published for linux-x64/);
  },
);

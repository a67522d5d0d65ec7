// `npm test [-- VITEST ARGUMENTS]`: sets up what the tests need, builds, and runs them.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ensureBuilt, ensureDependencies, root, run } from "./setup.mjs";

ensureDependencies();
ensureVulkanDevice();
ensureBuilt();
const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");
const report = join(root, "node_modules", ".cache", "tests.json");
const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
const result = spawnSync(process.execPath, [vitest, "run", ...reporters, ...process.argv.slice(2)], {
  cwd: root,
  stdio: "inherit",
});
const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(report, "utf8"));
console.log(`${numPassedTests} passed, ${numFailedTests} failed`);
process.exit(result.status ?? 1);

/** The GPU tests run on llvmpipe, Mesa's Vulkan device on the CPU: real buffers and budgets, no GPU needed. */
function ensureVulkanDevice() {
  if (process.platform !== "linux" || hasSoftwareVulkan()) return;
  const packages = ["mesa-vulkan-drivers", "libvulkan1"];
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || spawnSync("apt-get", ["--version"]).status !== 0) {
    console.error(
      `The tests need a software Vulkan device. Install it: sudo apt-get install ${packages.join(" ")}`,
    );
    console.error("(other systems: Mesa's llvmpipe Vulkan driver, lavapipe, and the Vulkan loader)");
    process.exit(1);
  }
  console.error(`jauge: installing ${packages.join(" ")} for the GPU tests (once)…`);
  const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  run("apt-get", ["update", "-qq"], { env: environment });
  run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...packages], { env: environment });
}

function hasSoftwareVulkan() {
  const folders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
  const driver = folders.some(
    (folder) => existsSync(folder) && readdirSync(folder).some((name) => name.startsWith("lvp_icd")),
  );
  return driver && spawnSync("sh", ["-c", "ldconfig -p | grep -q libvulkan.so.1"]).status === 0;
}

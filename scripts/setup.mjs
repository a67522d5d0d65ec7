// What `npm start`, `npm test` and `npm run build` share. Plain JavaScript: it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Installs the locked dependencies where node_modules is missing or older than the lockfile. */
export function ensureDependencies() {
  // npm writes this file last, so an install that was interrupted is done again.
  const installed = join(root, "node_modules", ".package-lock.json");
  if (
    existsSync(installed) &&
    statSync(installed).mtimeMs >= statSync(join(root, "package-lock.json")).mtimeMs
  )
    return;
  console.error("jauge: installing dependencies (once)…");
  run(npm(), ["ci", "--no-fund", "--no-audit", "--loglevel=error"]);
}

/** Compiles src/ to dist/ where a source or a configuration is newer than the last build. */
export function ensureBuilt() {
  const stamp = join(root, "dist", ".built");
  const newest = newestChange(
    ["src", "package.json", "tsconfig.json", "tsconfig.build.json"].map((name) => join(root, name)),
  );
  if (existsSync(stamp) && statSync(stamp).mtimeMs >= newest) return;
  build();
}

/** Compiles src/ to dist/. */
export function build() {
  const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  run(process.execPath, [compiler, "-p", "tsconfig.build.json"]);
  writeFileSync(join(root, "dist", ".built"), "");
}

/** Runs a command at the project's root with our input and output; ends this process with its status if it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: "inherit",
    shell: command.endsWith(".cmd"),
    ...options,
  });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function npm() {
  return process.platform === "win32" ? "npm.cmd" : "npm";
}

function newestChange(paths) {
  let newest = 0;
  for (const path of paths) {
    const stat = statSync(path);
    newest = Math.max(newest, stat.mtimeMs);
    if (stat.isDirectory())
      newest = Math.max(newest, newestChange(readdirSync(path).map((name) => join(path, name))));
  }
  return newest;
}

import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { JaugeError } from "../../errors.js";

/** The llama.cpp version whose struct layouts `llama.ts` declares. */
export const llamaVersion = "0.5.0";
/** The version of the packages that carry it. */
export const packageVersion = "3.22.1";

export const backends = ["cpu", "vulkan", "cuda", "metal"] as const;
export type Backend = (typeof backends)[number];

/** A folder of llama.cpp libraries, found but not loaded. */
export interface Libraries {
  backend: Backend | "custom";
  directory: string;
  llama: string;
  ggml: string;
  ggmlBase: string;
}

export interface LibraryWish {
  /** `auto` takes the fastest that this machine can use. */
  backend?: Backend | "auto";
  /** A folder of libraries built elsewhere; it wins over `backend`. */
  directory?: string;
}

/**
 * Finds the libraries to load: those of `directory` (JAUGE_LIB_DIR), else the platform package of the
 * backend. Errors: `library-missing` with the install command, `backend-unknown`.
 */
export function findLibraries(wish: LibraryWish): Libraries {
  if (wish.directory) return inDirectory(wish.directory, "custom");
  if (wish.backend === undefined || wish.backend === "auto") {
    const usable = usableBackends().find((backend) => packageDirectory(backend) !== undefined);
    return ofPackage(usable ?? fallbackBackend());
  }
  return ofPackage(wish.backend);
}

/** The backends this machine can use, fastest first, whether or not their package is installed. */
function usableBackends(): Backend[] {
  if (process.platform === "darwin") return process.arch === "arm64" ? ["metal"] : ["cpu"];
  const usable: Backend[] = [];
  if (process.arch === "x64" && hasNvidiaDevice()) usable.push("cuda");
  if (process.arch === "x64" && hasVulkanDevice()) usable.push("vulkan");
  return [...usable, "cpu"];
}

function fallbackBackend(): Backend {
  return process.platform === "darwin" && process.arch === "arm64" ? "metal" : "cpu";
}

function hasNvidiaDevice(): boolean {
  if (process.platform === "win32")
    return existsSync(join(process.env.SystemRoot ?? "C:\\Windows", "System32", "nvcuda.dll"));
  return existsSync("/dev/nvidiactl") || existsSync("/dev/dxg");
}

function hasVulkanDevice(): boolean {
  if (process.env.GGML_VK_VISIBLE_DEVICES) return true;
  if (process.platform === "win32")
    return existsSync(join(process.env.SystemRoot ?? "C:\\Windows", "System32", "vulkan-1.dll"));
  return existsSync("/dev/dri") && readdirSync("/dev/dri").some((name) => name.startsWith("renderD"));
}

function ofPackage(backend: Backend): Libraries {
  const directory = packageDirectory(backend);
  const name = packageName(backend);
  if (name === undefined) {
    throw new JaugeError("backend-unavailable", { backend, platform: `${process.platform}-${process.arch}` });
  }
  if (directory === undefined)
    throw new JaugeError("library-missing", { package: `${name}@${packageVersion}` });
  return inDirectory(directory, backend);
}

/** The platform package that carries a backend; undefined where none is made. */
function packageName(backend: Backend): string | undefined {
  const system = { linux: "linux", darwin: "mac", win32: "win" }[process.platform as string];
  const arch = { x64: "x64", arm64: "arm64", arm: "armv7l", riscv64: "riscv64" }[process.arch as string];
  if (!system || !arch) return undefined;
  const suffix = { cpu: "", vulkan: "-vulkan", cuda: "-cuda", metal: "-metal" }[backend];
  const name = `${system}-${arch}${suffix}`;
  // Apple silicon has one package, Metal and CPU together.
  const resolved = name === "mac-arm64" ? "mac-arm64-metal" : name;
  return published.has(resolved) ? `@node-llama-cpp/${resolved}` : undefined;
}

const published = new Set([
  ...["linux-x64", "linux-arm64", "linux-armv7l", "linux-riscv64", "linux-x64-vulkan", "linux-x64-cuda"],
  ...["mac-arm64-metal", "mac-x64", "win-x64", "win-arm64", "win-x64-vulkan", "win-x64-cuda"],
]);

function packageDirectory(backend: Backend): string | undefined {
  const name = packageName(backend);
  if (name === undefined) return undefined;
  try {
    const entry = createRequire(import.meta.url).resolve(name);
    const directory = join(dirname(dirname(entry)), "bins", name.slice(name.indexOf("/") + 1));
    return existsSync(directory) ? directory : undefined;
  } catch {
    return undefined;
  }
}

function inDirectory(directory: string, backend: Libraries["backend"]): Libraries {
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    throw new JaugeError("library-directory-unreadable", {
      directory,
      reason: (error as NodeJS.ErrnoException).code ?? "",
    });
  }
  const find = (stem: string): string => {
    // libllama.so, libllama.so.0, libllama.vulkan.v0.5.0.so, libllama.dylib, llama.dll, llama.v0.5.0.dll
    const pattern = new RegExp(
      `^(lib)?${stem}(\\.(vulkan|cuda|metal))?(\\.v[\\d.]+\\d)?\\.(so|dylib|dll)(\\.\\d+)*$`,
    );
    const matching = names.filter((name) => pattern.test(name)).sort((a, b) => a.length - b.length);
    const found = matching[0];
    if (found === undefined)
      throw new JaugeError("library-directory-incomplete", { directory, library: stem });
    return join(directory, found);
  };
  return { backend, directory, llama: find("llama"), ggml: find("ggml"), ggmlBase: find("ggml-base") };
}

import { readdirSync } from "node:fs";
import { join } from "node:path";
import koffi, { type LibraryHandle } from "koffi";

/** `libggml-cpu-haswell.so`, `ggml-cpu-alderlake.dll`; `libggml-cpu.so` where a build has one for all processors. */
const variant = /^(lib)?ggml-cpu(-.+)?\.(so|dylib|dll)$/;

/**
 * Opens, of the builds of ggml-cpu in a folder, the one that ggml would take for this processor: each says itself how
 * well it suits. Its symbols stay its own. ggml-base must be loaded. Undefined where there is none that can be used.
 *
 * Source: ggml_backend_load_best in ggml/src/ggml-backend-reg.cpp of llama.cpp v0.5.0.
 */
export function openCpuLibrary(directory: string): LibraryHandle | undefined {
  let best: string | undefined;
  let bestScore = 0;
  let forAll: string | undefined;
  for (const name of readdirSync(directory)) {
    const kind = variant.exec(name);
    if (!kind) continue;
    const path = join(directory, name);
    const score = scoreOf(path);
    if (score !== undefined && score > bestScore) [best, bestScore] = [path, score];
    if (kind[2] === undefined) forAll = path;
  }
  const path = best ?? forAll;
  return path === undefined ? undefined : opened(path);
}

/** Zero where this processor lacks what the build needs; undefined where it cannot be loaded or does not say. */
function scoreOf(path: string): number | undefined {
  const library = opened(path);
  if (!library) return undefined;
  try {
    return (library.func("ggml_backend_score", "int32", []) as () => number)();
  } catch {
    return undefined;
  } finally {
    library.unload();
  }
}

function opened(path: string): LibraryHandle | undefined {
  try {
    return koffi.load(path);
  } catch {
    return undefined;
  }
}

import koffi, { type LibraryHandle } from "koffi";
import { JaugeError } from "../../errors.js";
import { type Pointer, viewAt } from "./ffi.js";

/** Bytes of one kind of buffer: weights, KV cache and state, compute. */
export interface BufferBytes {
  bufferType: Pointer;
  weights: number;
  kv: number;
  compute: number;
}

/**
 * What a context and its model allocated, buffer type by buffer type, exact. llama.cpp offers it in C++ only:
 * `llama_get_memory_breakdown` (src/llama-ext.h) returns a std::map by value, whose red-black tree is read here
 * node by node. Layouts: libstdc++ (bits/stl_tree.h) on Linux, libc++ (__tree) on macOS.
 * Undefined elsewhere: a std::map of Windows is another. Errors: `memory-report-unsupported` where the tree does not
 * hold together.
 */
export function memoryBreakdown(library: LibraryHandle, context: Pointer): BufferBytes[] | undefined {
  const layout = layouts[process.platform];
  if (!layout) return undefined;
  const map = readMap(library, context, layout);
  const found: BufferBytes[] = [];
  const walk = (node: bigint): void => {
    if (node === 0n) return;
    const fields = new BigUint64Array(viewAt(node, 64));
    walk(fields[layout.left]!);
    found.push({
      bufferType: fields[4]!,
      weights: Number(fields[5]!),
      kv: Number(fields[6]!),
      compute: Number(fields[7]!),
    });
    walk(fields[layout.right]!);
  };
  walk(map.root);
  if (found.length !== map.size)
    throw new JaugeError("memory-report-unsupported", { platform: process.platform });
  return found;
}

/** Indices in 8-byte words. The key begins at word 4 of a node in both libraries. */
interface TreeLayout {
  words: number;
  root: number;
  size: number;
  left: number;
  right: number;
}

const layouts: Record<string, TreeLayout | undefined> = {
  // { compare, header { colour, parent = root, left, right }, count }; node { colour, parent, left, right, … }
  linux: { words: 6, root: 2, size: 5, left: 2, right: 3 },
  // { begin, end_node { left = root }, size }; node { left, right, parent, is_black, … }
  darwin: { words: 3, root: 1, size: 2, left: 0, right: 1 },
};

function readMap(
  library: LibraryHandle,
  context: Pointer,
  layout: TreeLayout,
): { root: bigint; size: number } {
  const words = Array.from({ length: layout.words }, (_, index) => `w${index}`);
  const type = koffi.struct(Object.fromEntries(words.map((word) => [word, "uint64"])));
  const read = library.func("_Z26llama_get_memory_breakdownPK13llama_context", type, ["void *"]) as (
    context: Pointer,
  ) => Record<string, number | bigint>;
  const map = read(context);
  return { root: BigInt(map[`w${layout.root}`]!), size: Number(map[`w${layout.size}`]!) };
}

import { z } from "zod";
import { readJsonFile } from "./bounded-json.js";
import type { PooledFile } from "./file-pool.js";
import { malformed } from "./problems.js";
import { schemaProblem } from "./schema-problem.js";

const count = z.int().positive();

/**
 * What `params.json` says beside Meta's checkpoints. Source: ModelArgs in llama/model.py of LLaMA, Llama 2 and Llama 3,
 * and the files that are published with them.
 */
const schema = z.object({
  dim: count,
  n_layers: count,
  n_heads: count,
  /** Absent before Llama 2 70B: as many as heads. */
  n_kv_heads: count.optional(),
  multiple_of: count.default(256),
  ffn_dim_multiplier: z.number().positive().nullish(),
  norm_eps: z.number().positive().default(1e-5),
  /** −1 where the tokenizer says it. */
  vocab_size: z.int().default(-1),
  rope_theta: z.number().positive().default(10_000),
  /** Llama 3.1 and later: RoPE frequencies are scaled as from 8192 tokens. */
  use_scaled_rope: z.boolean().default(false),
  /** Llama 3.2: 32, else 8. */
  rope_scaling_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
});

export type MetaParameters = z.infer<typeof schema>;

/** Errors: `checkpoint-malformed`, `file-unreadable`. */
export async function readMetaParameters(file: PooledFile): Promise<MetaParameters> {
  const value = await readJsonFile(file, "params.json");
  const parsed = schema.safeParse(value);
  if (parsed.success) {
    const { dim, n_heads, n_kv_heads = n_heads } = parsed.data;
    if (dim % n_heads === 0 && n_heads % n_kv_heads === 0) return parsed.data;
    throw malformed(file.path, "n_heads", `dim ${dim}, n_heads ${n_heads}, n_kv_heads ${n_kv_heads}`);
  }
  const { field = "params.json", problem } = schemaProblem(parsed.error, value);
  throw malformed(file.path, field, problem);
}

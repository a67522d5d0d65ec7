import { z } from "zod";
import { JaugeError } from "../../errors.js";
import { adapterProblems } from "../../messages/adapters.js";
import { localized } from "../../messages/locale.js";
import { readJsonFile } from "../readers/bounded-json.js";
import type { PooledFile } from "../readers/file-pool.js";
import { printable } from "../readers/problems.js";
import { schemaProblem } from "../readers/schema-problem.js";

const problems = localized(adapterProblems);
const rank = z.int().min(1).max(65_536);
const patterns = <Value extends z.ZodType>(value: Value) => z.record(z.string().max(256), value).nullish();

/** What `adapter_config.json` says. Source: LoraConfig in peft/tuners/lora/config.py of PEFT 0.3 to 0.17. */
const schema = z.object({
  peft_type: z.string().default("LORA"),
  r: rank,
  lora_alpha: z.number().default(8),
  rank_pattern: patterns(rank),
  alpha_pattern: patterns(z.number()),
  use_rslora: z.boolean().nullish(),
  fan_in_fan_out: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  lora_bias: z.boolean().nullish(),
  layer_replication: z.array(z.unknown()).nullish(),
  alora_invocation_tokens: z.array(z.unknown()).nullish(),
  base_model_name_or_path: z.string().nullish(),
});

export interface LoraConfig {
  alpha: number;
  /** Whether the base keeps its matrices as inputs by outputs. */
  isTransposed: boolean;
  /** What it was trained on, as its author called it. */
  baseName: string | undefined;
  rankOf(module: string): number;
  /** What the product of the two matrices is multiplied with. */
  scaleOf(module: string): number;
}

/** Errors: `adapter-invalid`, `adapter-unsupported`, `checkpoint-malformed`, `file-unreadable`. */
export async function readLoraConfig(file: PooledFile): Promise<LoraConfig> {
  const value = await readJsonFile(file, "adapter_config.json");
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const { field = "adapter_config.json", problem } = schemaProblem(parsed.error, value);
    throw invalid(file.path, field, problem);
  }
  const config = parsed.data;
  for (const [feature, isUsed] of [
    [`peft_type ${config.peft_type}`, config.peft_type.toUpperCase() !== "LORA"],
    ["DoRA (use_dora)", config.use_dora],
    ["lora_bias", config.lora_bias],
    ["layer_replication", config.layer_replication],
    ["aLoRA (alora_invocation_tokens)", config.alora_invocation_tokens],
  ] as const)
    if (isUsed) throw new JaugeError("adapter-unsupported", { path: file.path, feature: printable(feature) });

  const ranks = matchers(file.path, "rank_pattern", config.rank_pattern);
  const alphas = matchers(file.path, "alpha_pattern", config.alpha_pattern);
  const find = (list: readonly Matcher[], module: string) =>
    list.find(({ pattern }) => pattern.test(module))?.value;
  const rankOf = (module: string) => find(ranks, module) ?? config.r;
  return {
    alpha: config.lora_alpha,
    isTransposed: config.fan_in_fan_out ?? false,
    baseName: config.base_model_name_or_path ?? undefined,
    rankOf,
    scaleOf: (module) => {
      const size = rankOf(module);
      return (find(alphas, module) ?? config.lora_alpha) / (config.use_rslora ? Math.sqrt(size) : size);
    },
  };
}

interface Matcher {
  pattern: RegExp;
  value: number;
}

/** Most repetitions in a pattern: time to match a name grows by a power of them. */
const mostRepetitions = 3;
const mostPatterns = 10_000;

/** A pattern is a regular expression for the end of a module's name. Source: `get_pattern_key` in peft/utils/other.py. */
function matchers(path: string, field: string, values: Record<string, number> | null | undefined): Matcher[] {
  const entries = Object.entries(values ?? {});
  if (entries.length > mostPatterns) throw invalid(path, field, problems.pattern());
  return entries.map(([text, value]) => {
    const repetitions = text.match(/[*+{]/g)?.length ?? 0;
    // what a hostile pattern could hang with: repeated groups, references, looking around
    const isHarmful = /\)[*+?{]|\\[1-9k]|\(\?/.test(text) || repetitions > mostRepetitions;
    try {
      if (isHarmful) throw new SyntaxError();
      return { pattern: new RegExp(`^(.*\\.)?(${text})$`), value };
    } catch {
      throw invalid(path, `${field}: ${text}`, problems.pattern());
    }
  });
}

function invalid(path: string, field: string, problem: string): JaugeError<"adapter-invalid"> {
  return new JaugeError("adapter-invalid", { path, field: printable(field), problem: printable(problem) });
}

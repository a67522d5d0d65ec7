import type { Engine, EngineOptions } from "../engine/engine.js";
import type { ImportanceOptions } from "../engine/protocol.js";
import { JaugeError } from "../errors.js";
import type { ModelOutline } from "../gguf/outline.js";
import type { TensorShape } from "../gguf/writer.js";
import type { BudgetWishes } from "../plan/budget.js";
import type { ModelPlan } from "../plan/model-plan.js";
import type { Plan } from "../plan/plan.js";
import { openPlanned } from "../planner/open-planned.js";
import { openModelFile } from "../planner/sources/open.js";

/** How to load a model that is to be scored: its budgets, and what is fixed of its plan. */
export interface ScoringRequest {
  budgets: BudgetWishes;
  wishes: Partial<Plan>;
  allowDisk?: boolean;
  engine: EngineOptions;
}

/** A model loaded within its budgets, with a context for one window. */
export interface ScoringModel extends AsyncDisposable {
  engine: Engine;
  plan: ModelPlan;
  outline: ModelOutline;
  tensors: readonly TensorShape[];
}

/**
 * Loads a model as planned within the budgets, for windows of `windowSize` tokens; `importance` watches it compute.
 * Errors: those of `openModelFile` and `openPlanned`, `model-not-generative`.
 */
export async function openForScoring(
  path: string,
  windowSize: number,
  { budgets, wishes, allowDisk, engine: options }: ScoringRequest,
  importance?: ImportanceOptions,
): Promise<ScoringModel> {
  const model = await openModelFile(path);
  const fixed: Partial<Plan> = {
    ...wishes,
    contextLength: windowSize,
    sequences: 1,
    // All rows of a window have logits where all activations are to be seen, else its second half.
    outputs: importance ? windowSize : Math.ceil(windowSize / 2),
  };
  const { signal } = options;
  const { engine, plan } = await openPlanned(
    {
      ...{ model, budgets, wishes: fixed, objective: "batch" },
      ...(allowDisk !== undefined && { allowDisk }),
      ...(signal && { signal }),
    },
    importance ? { ...options, importance } : options,
  );
  const close = () => engine.close();
  const { hasDecoder, hasEncoder } = engine.info.model;
  if (!hasDecoder || hasEncoder) {
    await close();
    throw new JaugeError("model-not-generative", { path });
  }
  return { engine, plan, outline: model.outline, tensors: model.tensors, [Symbol.asyncDispose]: close };
}

/** The tokens of a text as they are scored: special tokens where the model's metadata say so, none read from the text. */
export async function tokensOf(
  { engine }: ScoringModel,
  text: string,
  parseSpecial = false,
): Promise<Int32Array> {
  return await engine.tokenize(text, { addSpecial: true, parseSpecial });
}

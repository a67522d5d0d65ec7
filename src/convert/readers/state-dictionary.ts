import { PickleDict, type PickleValue } from "./pickle/values.js";
import { malformed, problems } from "./problems.js";
import { TorchTensor } from "./torch-globals.js";

/** What trainers put weights under. */
const wrappers = ["state_dict", "model_state_dict", "model", "module"];
/** What trainers keep beside the weights, to go on later. */
const trainingState =
  /^(optim(izer)?(s|_states?|_states?_dicts?)?|(lr_)?schedulers?(_states?)?(_dict)?|ema|grad_scaler|scaler|amp|(.*_)?rng_states?|random_states?)$/;

const deepest = 16;
const mostEntries = 1_000_000;

/**
 * The named tensors of a checkpoint's root. Dictionaries in dictionaries join their keys by dots. Where a trainer put the
 * weights under `model` or the like beside its own state, they are what counts; the `module.` that data-parallel
 * training puts before every name is left out. Errors: `checkpoint-malformed`.
 */
export function namedTensors(root: PickleValue, path: string): Map<string, TorchTensor> {
  const entries = { left: mostEntries };
  const tensors = new Map<string, TorchTensor>();
  const visit = (value: PickleValue, name: string, depth: number) => {
    if (--entries.left < 0) throw malformed(path, name, problems.tooMany({ limit: mostEntries }));
    if (value instanceof TorchTensor && depth > 0) {
      if (tensors.has(name)) throw malformed(path, name, problems.duplicate());
      tensors.set(name, value);
    }
    if (!(value instanceof PickleDict)) return;
    if (depth > deepest) throw malformed(path, name, problems.tooDeep({ limit: deepest }));
    for (const [key, inner] of value.entries()) {
      if (typeof key !== "string" && typeof key !== "number") continue;
      visit(inner, depth === 0 ? String(key) : `${name}.${key}`, depth + 1);
    }
  };
  visit(unwrapped(root), "", 0);
  if (tensors.size === 0) throw malformed(path, "pickle", problems.noTensors());
  return withoutModule(tensors);
}

/** The dictionary of weights in what a trainer saved. */
function unwrapped(root: PickleValue): PickleValue {
  let value = root;
  for (let depth = 0; depth < deepest && value instanceof PickleDict; depth++) {
    const weights = wrappedIn(value);
    if (!weights) break;
    value = weights;
  }
  return value;
}

function wrappedIn(dict: PickleDict): PickleDict | undefined {
  let weights: PickleDict | undefined;
  for (const [key, value] of dict.entries()) {
    if (value instanceof TorchTensor) return undefined;
    if (typeof key === "string" && trainingState.test(key)) continue;
    if (!(value instanceof PickleDict) || !holdsTensor(value)) continue;
    if (weights || typeof key !== "string" || !wrappers.includes(key)) return undefined;
    weights = value;
  }
  return weights;
}

/** Whether there is a tensor at any level. */
function holdsTensor(dict: PickleDict): boolean {
  // each dictionary once, however often it is named
  const seen = new Set<PickleDict>([dict]);
  for (const each of seen)
    for (const [, value] of each.entries()) {
      if (value instanceof TorchTensor) return true;
      if (value instanceof PickleDict) seen.add(value);
    }
  return false;
}

function withoutModule(tensors: Map<string, TorchTensor>): Map<string, TorchTensor> {
  const prefix = "module.";
  if ([...tensors.keys()].some((name) => !name.startsWith(prefix))) return tensors;
  return new Map([...tensors].map(([name, tensor]) => [name.slice(prefix.length), tensor]));
}

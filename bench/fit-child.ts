import koffi from "koffi";
import { contextParams } from "../src/engine/host/parameters.js";
import { NativeArray, openLibrary } from "../src/engine/native/ffi.js";
import { findLibraries, type LibraryWish } from "../src/engine/native/libraries.js";
import { openNative } from "../src/engine/native/open.js";
import {
  type ContextParams,
  contextParams as contextStruct,
  type ModelParams,
  modelParams as modelStruct,
} from "../src/engine/native/structures.js";
import type { Plan, TensorOverride } from "../src/plan/plan.js";

// llama.cpp's own `--fit`, in a process of its own: the plan to fit and the bytes to leave free on each device come as
// JSON, and what it chose goes out as JSON. Source: common/fit.h of v0.5.0; the function is exported in C++ only.

/** What is asked, as the first argument. */
export interface FitQuestion {
  libraries: LibraryWish;
  /** Its settings are kept; `gpuLayers` and `tensorOverrides` are what is looked for. */
  plan: Plan;
  marginBytes: number;
}

export interface FitAnswer {
  fits: boolean;
  gpuLayers: number;
  tensorOverrides: TensorOverride[];
}

const symbol =
  "_Z17common_fit_paramsPKcP18llama_model_paramsP20llama_context_paramsPfP32llama_model_tensor_buft_overridePmjPK22common_fit_extra_model14ggml_log_level";
const errorLevel = 4;

const { libraries, plan, marginBytes } = JSON.parse(process.argv[2]!) as FitQuestion;
const found = findLibraries(libraries);
const native = openNative(found);
const common = openLibrary(`${found.directory}/libllama-common.so`);
const fitParams = common.func(symbol, "int32", [
  ...["str", koffi.inout(koffi.pointer(modelStruct)), koffi.inout(koffi.pointer(contextStruct))],
  ...["void *", "void *", "void *", "uint32", "void *", "int32"],
]) as (path: string, model: ModelParams, context: ContextParams, ...rest: unknown[]) => number;

const devices = native.llama.llama_max_devices();
const split = new NativeArray(Float32Array, Number(devices));
const overrides = new NativeArray(BigUint64Array, 2 * Number(native.llama.llama_max_tensor_buft_overrides()));
const margins = new NativeArray(BigUint64Array, Number(devices));
margins.view.fill(BigInt(marginBytes));
const model = native.llama.llama_model_default_params();
const context = contextParams(native, plan);
const status = fitParams(
  ...([plan.modelPath, model, context, split.address, overrides.address, margins.address] as const),
  ...[0, null, errorLevel],
);
const answer: FitAnswer = {
  fits: status === 0,
  gpuLayers: model.n_gpu_layers,
  tensorOverrides: chosenOverrides(),
};
process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));

/** Pairs of a pattern and a buffer type, ended by a null pattern. */
function chosenOverrides(): TensorOverride[] {
  const chosen: TensorOverride[] = [];
  for (let at = 0; overrides.view[at] !== undefined && overrides.view[at] !== 0n; at += 2) {
    const pattern = koffi.decode(overrides.view[at]!, "char", -1) as string;
    const type = overrides.view[at + 1]!;
    const device = native.ggml.bufferTypeIsHost(type) ? null : native.ggml.bufferTypeDevice(type);
    chosen.push({ pattern, placement: device ? native.ggml.deviceName(device) : "host" });
  }
  return chosen;
}

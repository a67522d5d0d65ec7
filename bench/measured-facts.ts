import { listDevices } from "../src/engine/engine.js";
import type { LibraryWish } from "../src/engine/native/libraries.js";
import type { TensorTypeName } from "../src/gguf/tensor-types.js";
import type { HardwareFacts } from "../src/hardware/facts.js";
import type { ModelSource } from "../src/plan/source.js";
import { calibrationFor } from "../src/planner/doctor.js";
import { factsOf } from "../src/planner/facts.js";

/** The facts of this machine with the doctor's speeds for the types of these models; `fresh` measures them anew. */
export async function measuredFacts(
  libraries: LibraryWish,
  threads: number,
  sources: readonly ModelSource[],
  fresh: boolean,
): Promise<HardwareFacts> {
  const isExpert = (name: string) => name.includes("_exps.");
  const typesOf = (keep: (name: string) => boolean): TensorTypeName[] => [
    ...new Set(
      sources.flatMap(({ tensors }) =>
        tensors.filter(({ name, shape }) => shape.length > 1 && keep(name)).map(({ type }) => type),
      ),
    ),
  ];
  let failure: Error | undefined;
  const record = await calibrationFor({
    ...{ libraries, threads, force: fresh },
    types: typesOf((name) => !isExpert(name)),
    expertTypes: typesOf(isExpert),
    onProgress: (fraction, place) => {
      if (process.stderr.isTTY)
        process.stderr.write(`\rbench: measuring ${place}, ${Math.round(100 * fraction)} % `);
    },
    onFailure: (_, error) => {
      failure = error;
    },
  });
  // What is predicted without it says nothing of it.
  if (failure) throw failure;
  const facts = factsOf(await listDevices({ libraries }), record.calibration);
  return { ...facts, host: { ...facts.host, threads } };
}

import type { PowerFacts } from "../hardware/facts.js";
import type { ModelPlan, PlannedDevice } from "../plan/model-plan.js";

/** What a job will take at most: each processor that computes draws its power all the time. */
export interface EnergyEstimate {
  joules: number;
  /** By ggml's name, or `host` for the CPU. */
  drawn: ({ place: string } & PowerFacts)[];
  /** Processors that compute and whose power nothing tells: theirs comes on top. */
  unknown: string[];
}

/** A processor that has less than this share of the time to compute in does not count. */
const leastShare = 0.05;

/** The energy of a time that a plan computes; undefined where nothing tells the power of any processor that does. */
export function estimatedEnergy(
  plan: Pick<ModelPlan, "devices" | "host" | "predicted">,
  seconds: number,
): EnergyEstimate | undefined {
  const { decodeSeconds } = plan.predicted;
  const whole = decodeSeconds.reduce((sum, part) => sum + part.seconds, 0);
  const computes = ({ name }: PlannedDevice) =>
    decodeSeconds.some((part) => part.place === name && part.seconds >= leastShare * whole);
  const devices = plan.devices.filter(computes);
  // What is in the processor's package is in its power.
  const isWithin = ({ kind }: PlannedDevice) => kind === "integrated-gpu" && plan.host.power !== undefined;
  const needsHost = computes(plan.host) || devices.some(isWithin);
  const places = [...devices.filter((device) => !isWithin(device)), ...(needsHost ? [plan.host] : [])];
  const drawn = places.flatMap(({ name, power }) => (power ? [{ place: name, ...power }] : []));
  if (drawn.length === 0) return undefined;
  return {
    joules: seconds * drawn.reduce((sum, { watts }) => sum + watts, 0),
    drawn,
    unknown: places.filter(({ power }) => !power).map(({ name }) => name),
  };
}

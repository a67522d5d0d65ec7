import { JaugeError } from "../errors.js";
import type { UnstatedSettings } from "./legacy/metadata.js";
import type { ConvertibleModel } from "./model.js";

/** The options of what a source may leave unsaid, by the names of the settings. */
const options = {
  contextLength: "--context-length",
  rmsEpsilon: "--rms-epsilon",
  ropeFrequencyBase: "--rope-freq-base",
} as const satisfies Partial<Record<keyof UnstatedSettings, string>>;

/**
 * Refuses what is said of a source that says it itself: what changes nothing is most likely a mistake. Errors:
 * `option-unused`.
 */
export function expectUnsaid(path: string, settings: UnstatedSettings): void {
  for (const [name, option] of Object.entries(options))
    if (settings[name as keyof typeof options] !== undefined)
      throw new JaugeError("option-unused", { path, option, reason: "stated" });
}

/** A model under the name that a person gives it; under its own where that is undefined. */
export function underName(model: ConvertibleModel, name: string | undefined): ConvertibleModel {
  if (name === undefined) return model;
  return {
    ...model,
    metadata: new Map([...model.metadata, ["general.name", { type: "string", value: name }]]),
  };
}

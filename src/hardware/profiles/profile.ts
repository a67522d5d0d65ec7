import type { HardwareFacts } from "../facts.js";

/** A machine that one may plan for without having it. */
export interface Profile {
  facts: HardwareFacts;
  /** Where each figure comes from. */
  sources: FigureSource[];
}

export interface FigureSource {
  /** The figures, by their path in the facts. */
  figure: string;
  /** How the figure follows from the source, where it is not printed there as such. */
  note?: string;
  url: string;
}

export const GB = 1e9;
export const MiB = 2 ** 20;
export const GiB = 2 ** 30;

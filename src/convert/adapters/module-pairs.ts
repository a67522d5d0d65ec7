import type { Blueprint } from "../architectures/blueprint.js";
import { product, type Recipe } from "../architectures/recipe.js";
import type { BandKeeper } from "../readers/strided.js";
import { arranged } from "../views/arranged.js";
import { asFloat32 } from "../views/decoded.js";
import { storedView } from "../views/stored.js";
import { transposed } from "../views/transposed.js";
import type { View } from "../views/view.js";
import type { LoraAdapter, LoraPair } from "./lora.js";

/** Some rows of a tensor of a GGUF, and what adds to them, if anything does. */
export interface Segment {
  rows: number;
  part?: ModulePart;
}

/** The pair that belongs to some rows, and what happens to the rows of its product on the way to the GGUF. */
export interface ModulePart {
  module: string;
  pair: LoraPair;
  /** Of the matrix that the blueprint names, and of what the pair adds to it. */
  stored: readonly number[];
  added: readonly [rows: number, columns: number];
  /** The rows are those of the transpose of `b × a`. */
  isTransposed: boolean;
  arrange: (rows: View) => View;
}

/** Finds the pairs of an adapter by what a blueprint calls their matrices. */
export class ModulePairs {
  private readonly byName = new Map<string, { module: string; pair: LoraPair }>();
  private readonly used = new Set<string>();

  constructor(
    private readonly adapter: LoraAdapter,
    blueprint: Blueprint,
  ) {
    for (const [module, pair] of adapter.pairs)
      this.byName.set(nameInBlueprint(`${module}.weight`, blueprint), { module, pair });
  }

  /** The rows of the tensor that a recipe makes, all of them, in order; joined matrices have a segment each. */
  segmentsOf(recipe: Recipe): Segment[] {
    switch (recipe.kind) {
      case "stored": {
        const rows = product(recipe.shape.slice(0, -1));
        const found = this.byName.get(recipe.name);
        if (!found) return [{ rows }];
        this.used.add(found.module);
        const { a, b, isEmbedding } = found.pair;
        const isTransposed = isEmbedding || this.adapter.config.isTransposed;
        const [from, to] = [a.shape[1]!, b.shape[0]!];
        const added = isTransposed ? ([from, to] as const) : ([to, from] as const);
        const part = { ...found, stored: recipe.shape, added, isTransposed };
        return [{ rows, part: { ...part, arrange: (view) => view } }];
      }
      case "arranged": {
        const { first, axes } = recipe;
        const rows = axes.reduce((count, axis) => count * axis.count, 1);
        const part = this.onlyPart(recipe.of);
        if (!part) return [{ rows }];
        return [{ rows, part: { ...part, arrange: (view) => arranged(part.arrange(view), first, axes) } }];
      }
      case "transposed": {
        const part = this.onlyPart(recipe.of);
        const rows = recipe.columns;
        return [part ? { rows, part: { ...part, isTransposed: !part.isTransposed } } : { rows }];
      }
      case "joined":
        return recipe.parts.flatMap((each) => this.segmentsOf(each));
      case "either": {
        const choices = recipe.choices.map((choice) => this.segmentsOf(choice));
        return choices.find((segments) => segments.some(({ part }) => part !== undefined)) ?? choices[0]!;
      }
      default:
        return [{ rows: 0 }];
    }
  }

  /** A module that no tensor is made from. */
  unused(): string | undefined {
    return [...this.adapter.pairs.keys()].find((module) => !this.used.has(module));
  }

  /** Of a matrix that is not joined from others. */
  private onlyPart(recipe: Recipe): ModulePart | undefined {
    return this.segmentsOf(recipe)[0]?.part;
  }
}

/** Whether a pair adds to the very shape of its matrix: rows that are arranged may be fewer than there are. */
export function fits({ stored, added }: ModulePart): boolean {
  return stored.length === 2 && stored[0] === added[0] && stored[1] === added[1] && added[1] > 0;
}

/** The names that blueprints have, without what classes of transformers put in front. */
export function nameInBlueprint(name: string, { prefix = "" }: Blueprint): string {
  const inner = name.replace("language_model.", "");
  return inner.startsWith(prefix) ? inner.slice(prefix.length) : inner;
}

/**
 * The two matrices of a part's product, in F32: `left` by rows of the tensor, `right` by rows of the rank; `up` is `b`,
 * which one of the two is made of. `bands` are for what is transposed.
 */
export function factorsOf(
  { pair, isTransposed, arrange }: ModulePart,
  bands: BandKeeper,
  change: (up: View) => View = (up) => up,
): { left: View; right: View; up: View } {
  const down = asFloat32(storedView(pair.a, pair.a.shape[1]!));
  const up = change(asFloat32(storedView(pair.b, pair.rank)));
  return isTransposed
    ? { left: arrange(transposed(down, bands)), right: transposed(up, bands), up }
    : { left: arrange(up), right: down, up };
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { host, type Placement } from "../../src/plan/cost.js";
import { numberPattern, placementFields } from "../../src/plan/engine-plan.js";
import { layoutOf } from "../../src/plan/layout.js";
import { sourceOfShape } from "./machines.js";

test("a pattern of numbers matches these numbers and no others", () => {
  expect(numberPattern([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])).toBe("[0-9]|1[0-2]");
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 0, max: 130 }), { minLength: 1 }), (numbers) => {
      const pattern = new RegExp(`^(${numberPattern(numbers)})$`);
      for (let number = 0; number <= 140; number++)
        expect(pattern.test(String(number))).toBe(numbers.includes(number));
    }),
  );
});

describe("a placement as llama.cpp is told it", () => {
  const layout = layoutOf(
    sourceOfShape({ layers: 14, hidden: 256, feedForward: 512, heads: 8, kvHeads: 2, vocabulary: 512 }),
  );
  const names = ["CUDA0", "CUDA1"];

  /** What llama.cpp makes of the fields: the layer's device, or the first pattern that matches. */
  function carriedOut(fields: ReturnType<typeof placementFields>): string[][] {
    const { gpuLayers, devices = [], tensorSplit = [], tensorOverrides } = fields;
    const first = layout.layers.length - gpuLayers;
    return layout.layers.map((parts, layer) => {
      let device = "host";
      let left = layer - first;
      if (left >= 0) {
        const counts = devices.length > 1 ? tensorSplit : [gpuLayers];
        const index = counts.findIndex((count) => {
          left -= count;
          return left < 0;
        });
        device = devices[index]!;
      }
      return parts.map(
        ({ name }) =>
          tensorOverrides.find(({ pattern }) => new RegExp(pattern).test(name))?.placement ?? device,
      );
    });
  }

  test("comes out as it was decided, whatever it is", () => {
    fc.assert(
      fc.property(
        fc.nat(15),
        fc.nat(15),
        fc.array(fc.record({ layer: fc.nat(14), part: fc.nat(20), place: fc.integer({ min: -1, max: 1 }) })),
        (count, second, moves) => {
          const first = layout.layers.length - count;
          const placement: Placement = {
            layers: layout.layers.map((parts, layer) => {
              const on = layer < first ? host : layer - first < second ? 0 : 1;
              return { on, parts: parts.map(() => on) };
            }),
          };
          for (const { layer, part, place } of moves) {
            const parts = placement.layers[layer]!.parts;
            // A device of which nothing else is used must come after those with layers: order is by first use.
            if (part < parts.length) parts[part] = place;
          }
          const fields = placementFields(layout, placement, names);
          const wanted = placement.layers.map(({ parts }) =>
            parts.map((place) => (place === host ? "host" : names[place]!)),
          );
          expect(carriedOut(fields)).toEqual(wanted);
        },
      ),
    );
  });
});

import type { Axis } from "../views/arranged.js";

/**
 * How a tensor of a GGUF is made from stored ones: plain data, so that it can be looked at as well as carried out
 * (`assemble.ts`). Shapes are the checkpoint's, outermost dimension first; sizes count elements.
 */
export type Recipe =
  | Stored
  | { kind: "arranged"; of: Recipe; rowElements: number; first: number; axes: readonly Axis[] }
  /** `of` is a matrix with rows of `columns`. */
  | { kind: "transposed"; of: Recipe; columns: number }
  | { kind: "plusOne"; of: Recipe }
  /** One after the other, outermost dimension first. */
  | { kind: "joined"; parts: readonly Recipe[] }
  | { kind: "mxfp4"; blocks: Recipe; scales: Recipe }
  /** The first whose tensors are all there. */
  | { kind: "either"; choices: readonly Recipe[] }
  /** Not stored: computed from the configuration. */
  | { kind: "numbers"; values: readonly number[] };

/** A tensor as the checkpoint has it. */
export interface Stored {
  kind: "stored";
  name: string;
  shape: readonly number[];
}

export function stored(name: string, ...shape: number[]): Stored {
  return { kind: "stored", name, shape };
}

/**
 * Rows of each head from two halves to pairs: RoPE in transformers turns element `i` with element `i + half`, in
 * llama.cpp's LLaMA with its neighbour. Source: `LlamaModel.permute` in conversion/llama.py of llama.cpp v0.5.0.
 */
export function paired(of: Stored, heads: number): Recipe {
  const [rows = 0, ...rest] = of.shape;
  const headSize = rows / heads;
  const half = headSize / 2;
  return {
    kind: "arranged",
    of,
    rowElements: product(rest),
    first: 0,
    axes: [
      { count: heads, step: headSize },
      { count: half, step: 1 },
      { count: 2, step: half },
    ],
  };
}

/** The first `count` rows. */
export function firstRows(of: Stored, count: number): Recipe {
  const rowElements = product(of.shape.slice(1));
  return { kind: "arranged", of, rowElements, first: 0, axes: [{ count, step: 1 }] };
}

/**
 * Q, K and V apart, from a matrix or bias that has them head by head: all Q heads, all K heads, all V heads.
 * Source: conversion/gptneox.py of llama.cpp v0.5.0.
 */
export function headsApart(of: Stored, heads: number, headSize: number): Recipe {
  const axes = [
    { count: 3, step: headSize },
    { count: heads, step: 3 * headSize },
    { count: headSize, step: 1 },
  ];
  return { kind: "arranged", of, rowElements: product(of.shape.slice(1)), first: 0, axes };
}

/**
 * The same from a matrix of groups that have several Q heads and share a K and a V head.
 * Source: conversion/falcon.py of llama.cpp v0.5.0.
 */
export function groupsApart(of: Stored, groups: number, queries: number, headSize: number): Recipe {
  const rowElements = product(of.shape.slice(1));
  const part = (first: number, heads: number): Recipe => ({
    kind: "arranged",
    of,
    rowElements,
    first: first * headSize,
    axes: [
      { count: groups, step: (queries + 2) * headSize },
      { count: heads * headSize, step: 1 },
    ],
  });
  return { kind: "joined", parts: [part(0, queries), part(queries, 1), part(queries + 1, 1)] };
}

/** The same recipe with every stored name behind `prefix`. */
export function under(prefix: string, recipe: Recipe): Recipe {
  switch (recipe.kind) {
    case "stored":
      return { ...recipe, name: prefix + recipe.name };
    case "joined":
      return { kind: "joined", parts: recipe.parts.map((part) => under(prefix, part)) };
    case "either":
      return { kind: "either", choices: recipe.choices.map((choice) => under(prefix, choice)) };
    case "mxfp4":
      return { kind: "mxfp4", blocks: under(prefix, recipe.blocks), scales: under(prefix, recipe.scales) };
    case "numbers":
      return recipe;
    default:
      return { ...recipe, of: under(prefix, recipe.of) };
  }
}

/** Every stored tensor that a recipe reads or, of a choice, may read. */
export function storedOf(recipe: Recipe): Stored[] {
  switch (recipe.kind) {
    case "stored":
      return [recipe];
    case "joined":
      return recipe.parts.flatMap(storedOf);
    case "either":
      return recipe.choices.flatMap(storedOf);
    case "mxfp4":
      return [...storedOf(recipe.blocks), ...storedOf(recipe.scales)];
    case "numbers":
      return [];
    default:
      return storedOf(recipe.of);
  }
}

export function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1);
}

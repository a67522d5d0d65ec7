import type { ComputeSpeed, HostFacts } from "../facts.js";
import { deriveMatrix, referenceModels, type TypeRatios, tokensPerSecondAt } from "./derive.js";
import { type FigureSource, GB, GiB } from "./profile.js";
import { cpuRatios } from "./type-ratios.js";

/** What ggml's threads take to meet after each node of a graph, on a processor with few cores. */
const cpuNodeSeconds = 2e-6;
/** A desktop and its programs, which jauge leaves alone. */
const desktopBytes = 4 * GB;
/** Two Node processes and the libraries. */
const hostRuntimeBytes = 300e6;

/**
 * A desktop with a Ryzen 5 of six Zen 3 cores (5600X, 5600G) and two channels of DDR4-3200.
 * 51.2 GB/s by specification, of which llama.cpp reaches about three quarters.
 */
export function zen3Desktop(ramBytes: number, description = "AMD Ryzen 5 5600X 6-Core Processor"): HostFacts {
  return {
    ...memory(ramBytes),
    description,
    threads: 6,
    speed: processor({ readBytesPerSecond: 38.4 * GB, promptTokensPerSecond: 30 }),
    diskBytesPerSecond: 3 * GB,
  };
}

export const zen3Sources: FigureSource[] = [
  {
    figure: "host.speed.memoryBytesPerSecond",
    note: "DDR4-3200, two channels: 51.2 GB/s by specification; 75 % of it, which gives the 6 to 10 tokens/s published for a 7B Q4_K_M",
    url: "https://specpicks.com/reviews/ryzen-5-5600g-budget-local-llm-host-2026",
  },
  {
    figure: "host.speed.matrix at 512 rows",
    note: "8B Q4_K_M, pp512 49.75 on 8 cores of a Ryzen 7 8840U, taken for 6 cores without AVX-512: 30",
    url: "https://github.com/brand-o/normiebench/issues/8",
  },
];

/** A desktop with a Ryzen 7 of eight Zen 4 cores (7700X) and two channels of DDR5-6000. */
export function zen4Desktop(ramBytes: number): HostFacts {
  return {
    ...memory(ramBytes),
    description: "AMD Ryzen 7 7700X 8-Core Processor",
    threads: 8,
    speed: processor({ readBytesPerSecond: 62 * GB, promptTokensPerSecond: 62 }),
    diskBytesPerSecond: 5 * GB,
  };
}

export const zen4Sources: FigureSource[] = [
  {
    figure: "host.speed.memoryBytesPerSecond",
    note: "DDR5-6000, two channels: 96 GB/s by specification; one memory die reads 32 bytes per clock at 2 GHz: 64 GB/s at most",
    url: "https://www.amd.com/en/products/processors/desktops/ryzen/7000-series/amd-ryzen-7-7700x.html",
  },
  {
    figure: "host.speed.matrix at 512 rows",
    note: "8B Q4_K_M, pp512 49.75 on the same cores at a laptop's clock (Ryzen 7 8840U), times 1.25",
    url: "https://github.com/brand-o/normiebench/issues/8",
  },
];

/** The CPU side of an Apple chip with this many performance cores. */
export function appleHost(description: string, ramBytes: number, performanceCores: number): HostFacts {
  return {
    ...memory(ramBytes),
    description,
    threads: performanceCores,
    speed: processor({
      readBytesPerSecond: 10 * GB * performanceCores,
      promptTokensPerSecond: 6.5 * performanceCores,
    }),
    diskBytesPerSecond: 5 * GB,
  };
}

export const appleHostSources: FigureSource[] = [
  {
    figure: "host.speed",
    note: "M2 Pro with 8 performance cores, CPU only, LLaMA 7B Q4_0: 48 ms per token and 17 ms per prompt token; per core",
    url: "https://github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference/issues/1",
  },
];

function memory(ramBytes: number): Pick<HostFacts, "totalBytes" | "availableBytes" | "runtimeBytes"> {
  // Firmware and integrated graphics keep some: 64 GiB show as about 62.7.
  const totalBytes = Math.round(ramBytes - Math.min(0.02 * ramBytes, 1 * GiB));
  return { totalBytes, availableBytes: totalBytes - desktopBytes, runtimeBytes: hostRuntimeBytes };
}

/** What is known of a processor that only two figures are known of. */
export interface ProcessorFigures {
  /** The rate at which it reads weights for one token. */
  readBytesPerSecond: number;
  /** Its speed in the prompt of an 8B Q4_K_M. */
  promptTokensPerSecond: number;
  nodeSeconds?: number;
  ratios?: TypeRatios;
}

/** Speeds of a processor, a CPU of few cores where nothing else is said. */
export function processor(figures: ProcessorFigures): ComputeSpeed {
  const { readBytesPerSecond, promptTokensPerSecond, nodeSeconds = cpuNodeSeconds } = figures;
  const model = referenceModels.llama8bQ4KM;
  const matrix = deriveMatrix(
    [
      { ...model, rows: 1, tokensPerSecond: tokensPerSecondAt(readBytesPerSecond, model, nodeSeconds) },
      { ...model, rows: 512, tokensPerSecond: promptTokensPerSecond },
    ],
    nodeSeconds,
    figures.ratios ?? cpuRatios,
  );
  return {
    memoryBytesPerSecond: readBytesPerSecond,
    nodeSeconds,
    matrix,
    attention: {
      // Two bytes of the cache are read for each multiply-add.
      oneRowPerSecond: readBytesPerSecond / 2,
      // A quarter of what matrices reach: 8.03e9 multiply-adds per token.
      batchPerSecond: (promptTokensPerSecond * 8.03e9) / 4,
    },
  };
}

import type { DeviceFacts, HostFacts, LinkSpeed } from "../facts.js";
import { deriveMatrix, type PublishedPoint, referenceModels, type TypeRatios } from "./derive.js";
import { zen3Desktop, zen3Sources, zen4Desktop, zen4Sources } from "./hosts.js";
import { type FigureSource, GB, GiB, MiB, type Profile } from "./profile.js";
import { cudaRatios, hipRatios } from "./type-ratios.js";

const { llama8bQ4KM, llama8bQ4KS, qwen14bQ4KM } = referenceModels;

/** A kernel's launch where whole graphs are launched: fits RTX 3060 and 4090 at 3B and 14B (geerlingguy's table). */
const nodeSeconds = 0.5e-6;

/** PCI Express 4.0 with 16 lanes: 31.5 GB/s by specification, about 80 % of it from pinned memory. */
const pcie4: LinkSpeed = {
  toDevice: { pageableBytesPerSecond: 12 * GB, pinnedBytesPerSecond: 25 * GB },
  toHost: { pageableBytesPerSecond: 10 * GB, pinnedBytesPerSecond: 25 * GB },
  crossingSeconds: 40e-6,
};
const sharedSources: FigureSource[] = [
  {
    figure: "devices.0.link",
    note: "PCI Express 4.0 x16: 31.5 GB/s; 80 % of it pinned, 40 % pageable",
    url: "https://pcisig.com/specifications",
  },
  {
    figure: "devices.0.runtimeBytes",
    note: "context and first-batch pools; 254 MiB were missing in llama.cpp's own example, plus the context",
    url: "https://github.com/ggml-org/llama.cpp/blob/master/tools/fit-params/README.md",
  },
];

const xiongjie = "https://github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference";
const geerling = "https://github.com/geerlingguy/ai-benchmarks";
const llamaPull = (number: number) => `https://github.com/ggml-org/llama.cpp/pull/${number}`;

interface Card {
  name: string;
  description: string;
  totalBytes: number;
  runtimeBytes: number;
  memoryBytesPerSecond: number;
  points: PublishedPoint[];
  ratios: TypeRatios;
  attention: { oneRowPerSecond: number; batchPerSecond: number };
}

function cardFacts(card: Card): DeviceFacts {
  return {
    name: card.name,
    description: card.description,
    kind: "gpu",
    totalBytes: card.totalBytes,
    // A desktop's windows on the same card.
    freeBytes: card.totalBytes - 300 * MiB,
    runtimeBytes: card.runtimeBytes,
    unified: false,
    alignmentBytes: 128,
    speed: {
      memoryBytesPerSecond: card.memoryBytesPerSecond,
      nodeSeconds,
      matrix: deriveMatrix(card.points, nodeSeconds, card.ratios),
      attention: card.attention,
    },
    link: pcie4,
  };
}

const rtx3060: Card = {
  name: "CUDA0",
  description: "NVIDIA GeForce RTX 3060",
  totalBytes: 11_906 * MiB,
  runtimeBytes: 350 * MiB,
  memoryBytesPerSecond: 360 * GB,
  points: [
    { ...qwen14bQ4KM, rows: 1, tokensPerSecond: 29.77 },
    { ...llama8bQ4KM, rows: 512, tokensPerSecond: 1509 },
  ],
  ratios: cudaRatios,
  attention: { oneRowPerSecond: 3.2e11, batchPerSecond: 2.2e12 },
};

const rtx3060Sources: FigureSource[] = [
  {
    figure: "devices.0.totalBytes",
    note: "as CUDA reports it: 11,906 MiB",
    url: "https://github.com/GenerelSchwerz/llama.cpp/issues/102",
  },
  {
    figure: "devices.0.speed.memoryBytesPerSecond",
    note: "192 bit at 15 Gbit/s: 360 GB/s",
    url: "https://www.nvidia.com/en-us/geforce/graphics-cards/30-series/rtx-3060-3060ti/",
  },
  { figure: "devices.0.speed.matrix at 1 row", note: "14B Q4_K_M: 29.77 tokens/s", url: geerling },
  {
    figure: "devices.0.speed.matrix at 512 rows",
    note: "RTX 3070, 8B Q4_K_M pp512: 2,402.51; times 12.74/20.31 TFLOPS",
    url: xiongjie,
  },
  {
    figure: "devices.0.speed.attention",
    note: "RTX 3070: the slowdown from tg512 to tg8192 and from pp512 to pp8192; scaled by bandwidth and TFLOPS",
    url: xiongjie,
  },
];

const rtx4090: Card = {
  name: "CUDA0",
  description: "NVIDIA GeForce RTX 4090",
  totalBytes: 24_077 * MiB,
  runtimeBytes: 450 * MiB,
  memoryBytesPerSecond: 1008 * GB,
  points: [
    { ...qwen14bQ4KM, rows: 1, tokensPerSecond: 92.49 },
    { ...llama8bQ4KS, rows: 32, tokensPerSecond: 3647.9 },
    { ...llama8bQ4KS, rows: 128, tokensPerSecond: 8518.75 },
    { ...llama8bQ4KS, rows: 512, tokensPerSecond: 12_382.64 },
  ],
  ratios: cudaRatios,
  attention: { oneRowPerSecond: 7.3e11, batchPerSecond: 9.4e12 },
};

const rtx4090Sources: FigureSource[] = [
  {
    figure: "devices.0.totalBytes",
    note: "as CUDA reports it: 24,077 MiB",
    url: "https://github.com/ggml-org/llama.cpp/blob/master/tools/fit-params/README.md",
  },
  {
    figure: "devices.0.speed.memoryBytesPerSecond",
    note: "384 bit at 21 Gbit/s: 1,008 GB/s",
    url: "https://www.nvidia.com/en-us/geforce/graphics-cards/40-series/rtx-4090/",
  },
  { figure: "devices.0.speed.matrix at 1 row", note: "14B Q4_K_M: 92.49 tokens/s", url: geerling },
  { figure: "devices.0.speed.matrix at 32 rows", note: "8B Q4_K_S: 3,647.90 tokens/s", url: llamaPull(8416) },
  {
    figure: "devices.0.speed.matrix at 128 and 512 rows",
    note: "8B Q4_K_S: 8,518.75 and 12,382.64 tokens/s",
    url: llamaPull(24127),
  },
  {
    figure: "devices.0.speed.attention",
    note: "the slowdown of an 8B Q4_K_M from tg512 to tg8192 and from pp512 to pp8192",
    url: xiongjie,
  },
];

/** The RTX 4080 beside an RTX 4090: memory bandwidth, and pp512 of an 8B Q4_K_M in XiongjieDai's table. */
const rtx4080Share = { decode: 716.8 / 1008, prefill: 5389.74 / 7138.99 };

const rtx4080: Card = {
  name: "CUDA0",
  description: "NVIDIA GeForce RTX 4080",
  totalBytes: 15_940 * MiB,
  runtimeBytes: 400 * MiB,
  memoryBytesPerSecond: 716.8 * GB,
  points: [
    { ...qwen14bQ4KM, rows: 1, tokensPerSecond: 92.49 * rtx4080Share.decode },
    { ...llama8bQ4KS, rows: 512, tokensPerSecond: 12_382.64 * rtx4080Share.prefill },
  ],
  ratios: cudaRatios,
  attention: { oneRowPerSecond: 7.1e11, batchPerSecond: 6.2e12 },
};

const rtx4080Sources: FigureSource[] = [
  {
    figure: "devices.0.speed.memoryBytesPerSecond",
    note: "256 bit at 22.4 Gbit/s: 716.8 GB/s",
    url: "https://www.nvidia.com/en-us/geforce/graphics-cards/40-series/rtx-4080-family/",
  },
  {
    figure: "devices.0.speed.matrix",
    note: "the RTX 4090's figures, at one row times the bandwidths' ratio, at 512 times 5,389.74/7,138.99 (pp512 here)",
    url: xiongjie,
  },
  {
    figure: "devices.0.speed.attention",
    note: "the slowdown of an 8B Q4_K_M from tg512 to tg8192 and from pp512 to pp8192",
    url: xiongjie,
  },
];

const rx7900xtx: Card = {
  name: "ROCm0",
  description: "AMD Radeon RX 7900 XTX",
  totalBytes: 24_560 * MiB,
  runtimeBytes: 350 * MiB,
  memoryBytesPerSecond: 960 * GB,
  points: [
    { ...llama8bQ4KM, rows: 1, tokensPerSecond: 105.81 },
    { ...llama8bQ4KM, rows: 512, tokensPerSecond: 3226.54 },
  ],
  ratios: hipRatios,
  attention: { oneRowPerSecond: 1.5e12, batchPerSecond: 1.7e13 },
};

const rx7900xtxSources: FigureSource[] = [
  {
    figure: "devices.0.speed.memoryBytesPerSecond",
    note: "384 bit at 20 Gbit/s: 960 GB/s",
    url: "https://www.amd.com/en/products/graphics/desktops/radeon/7000-series/amd-radeon-rx-7900xtx.html",
  },
  {
    figure: "devices.0.speed.matrix",
    note: "8B Q4_K_M: tg64 105.81, pp2048 with micro-batches of 512 3,226.54 tokens/s",
    url: llamaPull(26284),
  },
  {
    figure: "devices.0.speed.attention",
    note: "the slowdown of tg64 and pp2048 at a depth of 4,096 tokens",
    url: llamaPull(26284),
  },
];

/** What is known of cards by their name, for machines that were never measured. */
export const cardSpeeds: DeviceFacts[] = [rtx3060, rtx4080, rtx4090, rx7900xtx].map(cardFacts);

export const cardProfiles: Record<string, Profile> = {
  "rtx-3060-12gb": withCard(
    "RTX 3060 12 GB, 64 GB RAM",
    rtx3060,
    rtx3060Sources,
    zen3Desktop(64 * GiB),
    zen3Sources,
  ),
  "rtx-3060-12gb-32gb": withCard(
    "RTX 3060 12 GB, 32 GB RAM",
    rtx3060,
    rtx3060Sources,
    zen3Desktop(32 * GiB),
    zen3Sources,
  ),
  "rtx-4080-16gb": withCard(
    "RTX 4080 16 GB, 64 GB RAM",
    rtx4080,
    rtx4080Sources,
    zen4Desktop(64 * GiB),
    zen4Sources,
  ),
  "rtx-4090-24gb": withCard(
    "RTX 4090 24 GB, 64 GB RAM",
    rtx4090,
    rtx4090Sources,
    zen4Desktop(64 * GiB),
    zen4Sources,
  ),
  "rx-7900-xtx-24gb": withCard(
    "RX 7900 XTX 24 GB, 64 GB RAM",
    rx7900xtx,
    rx7900xtxSources,
    zen4Desktop(64 * GiB),
    zen4Sources,
  ),
};

function withCard(
  name: string,
  card: Card,
  sources: FigureSource[],
  host: HostFacts,
  hostSources: FigureSource[],
): Profile {
  return {
    facts: { name, origin: "profile", host, devices: [cardFacts(card)] },
    sources: [...sources, ...sharedSources, ...hostSources],
  };
}

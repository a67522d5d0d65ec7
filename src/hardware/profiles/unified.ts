import type { DeviceFacts } from "../facts.js";
import { deriveMatrix, referenceModels } from "./derive.js";
import { appleHost, appleHostSources, zen3Desktop, zen3Sources } from "./hosts.js";
import { type FigureSource, GB, GiB, MiB, type Profile } from "./profile.js";
import { metalRatios } from "./type-ratios.js";

const nodeSeconds = 1e-6;
const xiongjie = "https://github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference";

interface Chip {
  description: string;
  ramBytes: number;
  /** Of the RAM, what Metal recommends to use at most (`recommendedMaxWorkingSetSize`). */
  deviceBytes: number;
  performanceCores: number;
  memoryBytesPerSecond: number;
  /** 8B Q4_K_M, tg512 and pp512. */
  decode: number;
  prefill: number;
  attention: { oneRowPerSecond: number; batchPerSecond: number };
}

const m1Max: Chip = {
  description: "Apple M1 Max",
  ramBytes: 32 * GiB,
  deviceBytes: 22_906.5e6,
  performanceCores: 8,
  memoryBytesPerSecond: 400 * GB,
  decode: 35.73,
  prefill: 408.23,
  attention: { oneRowPerSecond: 1.1e11, batchPerSecond: 1.2e12 },
};

const m2Ultra: Chip = {
  description: "Apple M2 Ultra",
  ramBytes: 64 * GiB,
  deviceBytes: 0.75 * 64 * GiB,
  performanceCores: 16,
  memoryBytesPerSecond: 800 * GB,
  decode: 78.81,
  prefill: 994.04,
  attention: { oneRowPerSecond: 1.7e11, batchPerSecond: 8.5e12 },
};

const m3Max: Chip = {
  description: "Apple M3 Max",
  ramBytes: 48 * GiB,
  deviceBytes: 0.75 * 48 * GiB,
  performanceCores: 12,
  memoryBytesPerSecond: 400 * GB,
  decode: 48.97,
  prefill: 693.32,
  attention: { oneRowPerSecond: 1.4e11, batchPerSecond: 1.9e12 },
};

function appleDevice(chip: Chip): DeviceFacts {
  const model = referenceModels.llama8bQ4KM;
  const copy = { pageableBytesPerSecond: 50 * GB, pinnedBytesPerSecond: 50 * GB };
  return {
    name: "MTL0",
    description: chip.description,
    kind: "gpu",
    totalBytes: chip.deviceBytes,
    freeBytes: chip.deviceBytes,
    runtimeBytes: 100 * MiB,
    unified: true,
    alignmentBytes: 32,
    speed: {
      memoryBytesPerSecond: chip.memoryBytesPerSecond,
      nodeSeconds,
      matrix: deriveMatrix(
        [
          { ...model, rows: 1, tokensPerSecond: chip.decode },
          { ...model, rows: 512, tokensPerSecond: chip.prefill },
        ],
        nodeSeconds,
        metalRatios,
      ),
      attention: chip.attention,
    },
    link: { toDevice: copy, toHost: copy, crossingSeconds: 100e-6 },
  };
}

function appleProfile(name: string, chip: Chip, note: string): Profile {
  const host = appleHost(chip.description, chip.ramBytes, chip.performanceCores);
  const sources: FigureSource[] = [
    {
      figure: "devices.0.totalBytes",
      note: "two thirds of the RAM up to 36 GB, three quarters above: Metal's recommendedMaxWorkingSetSize",
      url: "https://developer.apple.com/videos/play/tech-talks/10580/?time=346",
    },
    {
      figure: "devices.0.speed.memoryBytesPerSecond",
      note: `${chip.memoryBytesPerSecond / GB} GB/s`,
      url: "https://en.wikipedia.org/wiki/Apple_silicon#Comparison_of_M-series_processors",
    },
    { figure: "devices.0.speed.matrix", note, url: xiongjie },
    {
      figure: "devices.0.speed.attention",
      note: "the slowdown of an 8B Q4_K_M from tg512 to tg8192 and from pp512 to pp8192",
      url: xiongjie,
    },
    ...appleHostSources,
  ];
  return { facts: { name, origin: "profile", host, devices: [appleDevice(chip)] }, sources };
}

const officeDescription = "AMD Ryzen 5 5600G with Radeon Graphics";

function office(name: string, ramBytes: number): Profile {
  return {
    facts: { name, origin: "profile", host: zen3Desktop(ramBytes, officeDescription), devices: [] },
    sources: zen3Sources,
  };
}

/** What is known of Apple's chips by their name. */
export const chipSpeeds: DeviceFacts[] = [m1Max, m2Ultra, m3Max].map(appleDevice);

export const unifiedProfiles: Record<string, Profile> = {
  "m1-max-32gb": appleProfile(
    "Apple M1 Max, 32 GB",
    m1Max,
    "8B Q4_K_M on the GPU of 32 cores (with 64 GB): tg512 35.73, pp512 408.23 tokens/s",
  ),
  "m2-ultra-64gb": appleProfile(
    "Apple M2 Ultra, 64 GB",
    m2Ultra,
    "8B Q4_K_M on the GPU of 76 cores (with 192 GB): tg512 78.81, pp512 994.04 tokens/s",
  ),
  "m3-max-48gb": appleProfile(
    "Apple M3 Max, 48 GB",
    m3Max,
    "8B Q4_K_M on the GPU of 40 cores (with 64 GB): tg512 48.97, pp512 693.32 tokens/s",
  ),
  "ryzen-5600g-16gb": office("Ryzen 5 5600G, 16 GB RAM, no card", 16 * GiB),
  "ryzen-5600g-32gb": office("Ryzen 5 5600G, 32 GB RAM, no card", 32 * GiB),
};

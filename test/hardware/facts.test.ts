import { describe, expect, it } from "vitest";
import type { Device } from "../../src/engine/protocol.js";
import { cpuFacts } from "../../src/hardware/cpu.js";
import { hardwareFile } from "../../src/hardware/facts-schema.js";
import { profiles } from "../../src/hardware/profiles.js";
import { cachedFacts } from "../../src/planner/cached-facts.js";
import { type Calibration, factsOf } from "../../src/planner/facts.js";
import { cpu, hasVulkan, vulkan } from "../engine/harness.js";

const known = profiles["rtx-4090-24gb"]!.facts;
const card = known.devices[0]!;
const device = (fields: Partial<Device>): Device => ({
  name: "CUDA0",
  description: "NVIDIA GeForce RTX 4090",
  kind: "gpu",
  freeBytes: 23e9,
  totalBytes: 25e9,
  usedBy: [],
  unified: false,
  alignmentBytes: 128,
  maxBufferBytes: Number.MAX_SAFE_INTEGER,
  ...fields,
});
const calibration: Calibration = {
  host: { ...known.host.speed, memoryBytesPerSecond: 1e9 },
  devices: {
    CUDA0: { speed: { ...card.speed, memoryBytesPerSecond: 2e9 }, link: card.link, runtimeBytes: 3e8 },
  },
  hostRuntimeBytes: 4e8,
  diskBytesPerSecond: 5e8,
};

describe("the facts of this machine", () => {
  it("are a valid hardware file, and hold no device on a machine without one", async () => {
    const facts = await cachedFacts(cpu.libraries!);
    expect(hardwareFile.parse(facts)).toEqual(facts);
    expect(facts.devices).toEqual([]);
    expect(facts.origin).toBe("assumed");
    expect(facts.host.threads).toBe(cpuFacts().threads);
  });

  it.runIf(hasVulkan)("hold llvmpipe as a device in the host's memory", { retry: 3 }, async () => {
    const facts = await cachedFacts(vulkan.libraries!);
    expect(hardwareFile.parse(facts)).toEqual(facts);
    expect(facts.devices).toHaveLength(1);
    expect(facts.devices[0]).toMatchObject({ name: "Vulkan0", kind: "gpu" });
  });

  it("take measured speeds where there are some", () => {
    const facts = factsOf([device({}), device({ name: "CPU", kind: "cpu" })], calibration);
    expect(facts).toMatchObject({
      origin: "measured",
      host: { runtimeBytes: 4e8, diskBytesPerSecond: 5e8, speed: { memoryBytesPerSecond: 1e9 } },
    });
    expect(facts.devices).toHaveLength(1);
    expect(facts.devices[0]).toMatchObject({ runtimeBytes: 3e8, speed: { memoryBytesPerSecond: 2e9 } });
  });

  it("are assumed for a device that was not measured: as published where it is known", () => {
    const other = device({ name: "CUDA1", description: "NVIDIA GeForce RTX 4090" });
    const facts = factsOf([device({}), other], calibration);
    expect(facts.origin).toBe("assumed");
    expect(facts.devices[1]!.speed).toEqual(card.speed);
    const unknown = factsOf([device({ description: "NVIDIA GeForce RTX 9090" })]);
    expect(hardwareFile.parse(unknown)).toEqual(unknown);
    expect(unknown.devices[0]!.speed.memoryBytesPerSecond).toBeLessThan(card.speed.memoryBytesPerSecond);
  });

  it("count as free what both ggml and the driver call free", () => {
    const reading = { totalBytes: 25e9, usedBytes: 5e9, freeBytes: 20e9 };
    expect(factsOf([device({ reading })]).devices[0]!.freeBytes).toBe(20e9);
    expect(factsOf([device({ reading: { ...reading, freeBytes: 24e9 } })]).devices[0]!.freeBytes).toBe(23e9);
  });

  it("place tensors on cards and integrated graphics only", () => {
    const kinds = ["cpu", "gpu", "integrated-gpu", "accelerator", "meta"] as const;
    const facts = factsOf(kinds.map((kind) => device({ name: kind, kind })));
    expect(facts.devices.map(({ kind }) => kind)).toEqual(["gpu", "integrated-gpu"]);
  });
});

import { fileURLToPath } from "node:url";
import { Command } from "@commander-js/extra-typings";
import { listDevices } from "../engine/engine.js";
import type { Device } from "../engine/protocol.js";
import { type CpuFacts, cpuFacts } from "../hardware/cpu.js";
import { diskFreeBytes } from "../hardware/disk.js";
import { type HostMemory, hostMemory } from "../hardware/memory.js";
import { optionMessages } from "../messages/cli-options.js";
import { devicesMessages } from "../messages/devices.js";
import { localized } from "../messages/locale.js";
import { formatBytes } from "../units.js";
import { examples } from "./examples.js";
import { addOptions, type CommandPart, type Values } from "./option-spec.js";
import { type ModelValues, modelOptions, outputOptions, pick } from "./options.js";
import { columns, note, print, styled } from "./terminal.js";

const texts = localized(devicesMessages);
const descriptions = localized(optionMessages);
/** The folder of the models that come with jauge. */
const modelsFolder = fileURLToPath(new URL("../../models", import.meta.url));
const libraryOptions = pick(modelOptions, "backend", "libDir");

type DevicesValues = Values<typeof outputOptions> & Pick<ModelValues, "backend" | "libDir">;

/** `jauge devices` */
export function devicesCommand(): CommandPart {
  const { headings, model, output } = descriptions;
  const command = new Command("devices").description(texts.description);
  addOptions(command, headings.output, outputOptions, { ...output, json: texts.json });
  addOptions(command, headings.model, libraryOptions, model);
  command.addHelpText(
    "after",
    examples(
      "jauge devices",
      "jauge devices --backend vulkan",
      "jauge devices --json | jq '.devices[] | {name, freeBytes}'",
    ),
  );
  command.action((values) => devices(values as DevicesValues));
  return { command, tables: [outputOptions, libraryOptions] };
}

/** A machine as `--json` prints it: a public contract. Sizes are bytes. */
interface Machine {
  devices: Device[];
  host: HostMemory & { processor: CpuFacts; disk: { path: string; freeBytes: number } };
}

async function devices(values: DevicesValues): Promise<void> {
  const machine = await readMachine(values);
  if (values.json) await print(`${JSON.stringify(machine, undefined, 2)}\n`);
  else for (const line of describe(machine)) await print(`${line}\n`);
}

async function readMachine(values: DevicesValues): Promise<Machine> {
  const listed = await listDevices({
    libraries: {
      ...(values.backend ? { backend: values.backend } : {}),
      ...(values.libDir ? { directory: values.libDir } : {}),
    },
    ...(values.verbose ? { onLog: note } : {}),
  });
  const disk = { path: modelsFolder, freeBytes: await diskFreeBytes(modelsFolder) };
  return { devices: listed, host: { ...hostMemory(), processor: cpuFacts(), disk } };
}

function describe({ devices, host }: Machine): string[] {
  return [
    styled("bold", texts.headings.devices),
    ...describeDevices(devices).map(indented),
    "",
    styled("bold", texts.headings.host),
    ...columns(describeHost(host)).map(indented),
  ];
}

/** One line for each device, and one below it for each process that uses it. */
function describeDevices(devices: Device[]): string[] {
  const { name, kind, description, total, free } = texts.columns;
  const rows = devices.map((device) => [
    device.name,
    texts.kinds[device.kind],
    formatBytes(device.totalBytes),
    formatBytes(freeBytes(device)),
    device.unified && device.kind !== "cpu" ? `${device.description} (${texts.unified})` : device.description,
  ]);
  const [head, ...lines] = columns([[name, kind, total, free, description], ...rows], [2, 3]);
  return [
    styled("dim", head!),
    ...lines.flatMap((line, index) => [line, ...describeUsers(devices[index]!).map(indented)]),
  ];
}

/** ggml takes the processor's memory for free as a whole: what is really available is the machine's to say. */
function freeBytes(device: Device): number {
  return device.kind === "cpu" ? hostMemory().availableBytes : device.freeBytes;
}

function describeUsers({ usedBy }: Device): string[] {
  return usedBy.map(({ name, pid, bytes }) => {
    const size = bytes === undefined ? texts.unknownBytes : formatBytes(bytes);
    return `${texts.usedBy} ${texts.process({ name, pid, size })}`;
  });
}

function describeHost(host: Machine["host"]): string[][] {
  const { fields } = texts;
  const { processor, disk } = host;
  const swap =
    host.swapTotalBytes === 0
      ? texts.noSwap
      : texts.swap({ free: formatBytes(host.swapFreeBytes), total: formatBytes(host.swapTotalBytes) });
  const memory = {
    available: formatBytes(host.availableBytes),
    total: formatBytes(host.totalBytes),
  };
  const cores = {
    physical: processor.physicalCores,
    performance: processor.performanceCores,
    logical: processor.logicalCores,
    threads: processor.threads,
  };
  const { quotaCores } = processor;
  return [
    [fields.memory, texts.memory(memory)],
    [fields.swap, swap],
    [fields.processor, processor.description],
    ["", texts.cores(cores)],
    ...(quotaCores === undefined ? [] : [["", texts.quota({ cores: String(quotaCores) })]]),
    [fields.disk, texts.disk({ free: formatBytes(disk.freeBytes), path: disk.path })],
  ];
}

function indented(line: string): string {
  return `  ${line}`;
}

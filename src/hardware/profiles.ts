import { readFile } from "node:fs/promises";
import { JaugeError } from "../errors.js";
import { unreadable } from "../file-errors.js";
import { firstProblem, parseJson } from "../json.js";
import type { DeviceFacts, HardwareFacts } from "./facts.js";
import { hardwareFile } from "./facts-schema.js";
import { cardProfiles, cardSpeeds } from "./profiles/cards.js";
import type { Profile } from "./profiles/profile.js";
import { chipSpeeds, unifiedProfiles } from "./profiles/unified.js";

/** The machines that ship with jauge, by the name that `--hardware` takes. */
export const profiles: Readonly<Record<string, Profile>> = { ...cardProfiles, ...unifiedProfiles };

export function profileNames(): string[] {
  return Object.keys(profiles);
}

/**
 * The facts of a machine: a profile by its name, or a JSON file of the shape of `HardwareFacts` (docs/HARDWARE.md),
 * checked in full. Errors: `profile-unknown` where it is neither, `file-unreadable`, `json-invalid`, `hardware-file-invalid` with file and field.
 */
export async function readHardwareFile(pathOrName: string): Promise<HardwareFacts> {
  const profile = profileNamed(pathOrName.toLowerCase());
  if (profile) return structuredClone(profile.facts);
  const json = await readJson(pathOrName);
  const parsed = hardwareFile.safeParse(json);
  if (parsed.success) {
    const { sources: _, ...facts } = parsed.data;
    return facts;
  }
  throw new JaugeError("hardware-file-invalid", { path: pathOrName, ...firstProblem(json, parsed.error) });
}

/** The profile of this name, or the first whose name begins with it: `rtx-3060`. */
function profileNamed(name: string): Profile | undefined {
  if (Object.hasOwn(profiles, name)) return profiles[name];
  const begins = profileNames().find((known) => known.startsWith(`${name}-`));
  return begins === undefined ? undefined : profiles[begins];
}

/** The published speeds of a device that its driver describes like a known one; undefined where none is known. */
export function knownDevice(description: string): DeviceFacts | undefined {
  const plain = (text: string) =>
    ` ${text
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, " ")
      .trim()} `;
  // `NVIDIA GeForce RTX 4080 SUPER` and a laptop's chip of the same number are other chips.
  if (/ (super|laptop|mobile|max q|ti|gre|d) /.test(plain(description))) return undefined;
  return [...cardSpeeds, ...chipSpeeds].find((known) => {
    const model = plain(known.description.replace(/^(NVIDIA GeForce|AMD Radeon)/, ""));
    return plain(description).includes(model);
  });
}

async function readJson(path: string): Promise<unknown> {
  try {
    return parseJson(path, await readFile(path, "utf8"));
  } catch (cause) {
    if (cause instanceof JaugeError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === "ENOENT")
      throw new JaugeError("profile-unknown", { name: path, known: profileNames() }, { cause });
    throw unreadable(path, cause);
  }
}

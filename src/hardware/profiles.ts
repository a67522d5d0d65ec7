import { readFile } from "node:fs/promises";
import * as z from "zod";
import { JaugeError } from "../errors.js";
import { fileReasons } from "../messages/gguf.js";
import { locale, localized } from "../messages/locale.js";
import type { DeviceFacts, HardwareFacts } from "./facts.js";
import { hardwareFile } from "./facts-schema.js";
import { cardProfiles, cardSpeeds } from "./profiles/cards.js";
import type { Profile } from "./profiles/profile.js";
import { chipSpeeds, unifiedProfiles } from "./profiles/unified.js";

if (locale === "fr") z.config(z.locales.fr());

/** The machines that ship with jauge, by the name that `--hardware` takes. */
export const profiles: Readonly<Record<string, Profile>> = { ...cardProfiles, ...unifiedProfiles };

export function profileNames(): string[] {
  return Object.keys(profiles);
}

/**
 * The facts of a machine: a profile by its name, or a JSON file of the shape of `HardwareFacts` (docs/HARDWARE.md),
 * checked in full. Errors: `profile-unknown` where it is neither, `hardware-file-invalid` with file and field.
 */
export async function readHardwareFile(pathOrName: string): Promise<HardwareFacts> {
  const profile = profileNamed(pathOrName.toLowerCase());
  if (profile) return structuredClone(profile.facts);
  const parsed = hardwareFile.safeParse(await readJson(pathOrName));
  if (parsed.success) {
    const { sources: _, ...facts } = parsed.data;
    return facts;
  }
  const issue = parsed.error.issues[0]!;
  throw new JaugeError("hardware-file-invalid", {
    path: pathOrName,
    field: issue.path.join(".") || "JSON",
    problem: issue.message,
  });
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
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT")
      throw new JaugeError("profile-unknown", { name: path, known: profileNames() }, { cause });
    const { code = "", message } = cause as NodeJS.ErrnoException;
    const reasons: Record<string, string> = localized(fileReasons);
    throw new JaugeError("file-unreadable", { path, reason: reasons[code] ?? message }, { cause });
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new JaugeError(
      "hardware-file-invalid",
      { path, field: "JSON", problem: (cause as Error).message },
      { cause },
    );
  }
}

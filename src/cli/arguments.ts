import type { Spelling } from "./option-spec.js";

/** A command line as commander reads it, and the options in it that mean nothing here. */
export interface TranslatedArguments {
  arguments: string[];
  ignored: string[];
}

/**
 * Writes llama.cpp's spellings as commander's: `-ngl 5` becomes `--n-gpu-layers 5`, `--ctx_size` becomes
 * `--ctx-size`. Values are left alone, whatever they look like. What is unknown stays, for commander to name it.
 */
export function translateArguments(
  given: readonly string[],
  known: ReadonlyMap<string, Spelling>,
): TranslatedArguments {
  const translated: string[] = [];
  const ignored: string[] = [];
  const rest = [...given];
  while (rest.length > 0) {
    const argument = rest.shift()!;
    if (argument === "--") {
      translated.push(argument, ...rest);
      break;
    }
    const { name, inline } = split(argument);
    const spelling = known.get(name);
    const meaningless = meaninglessOptions.get(name);
    if (spelling) {
      const value = inline ?? (spelling.takesValue ? takeValue(spelling, rest) : undefined);
      translated.push(value === undefined ? spelling.canonical : `${spelling.canonical}=${value}`);
    } else if (meaningless) {
      ignored.push(name);
      if (inline === undefined && takesNext(meaningless, rest)) rest.shift();
    } else {
      translated.push(argument);
    }
  }
  return { arguments: translated, ignored };
}

/** `--name=value` in its parts. llama.cpp reads `_` in a long name as `-`. */
function split(argument: string): { name: string; inline?: string } {
  if (!argument.startsWith("--")) return { name: argument };
  const equals = argument.indexOf("=");
  const name = (equals < 0 ? argument : argument.slice(0, equals)).replaceAll("_", "-");
  return equals < 0 ? { name } : { name, inline: argument.slice(equals + 1) };
}

function takeValue(spelling: Spelling, rest: string[]): string | undefined {
  const { bareOr } = spelling;
  if (bareOr && !bareOr.includes(rest[0] ?? "")) return bareOr[0];
  const value = rest.shift();
  // Until 2025 llama.cpp took the path and the scale as two arguments.
  const isOlderForm =
    spelling.canonical === "--lora-scaled" && value !== undefined && !/:[\d.]+$/.test(value);
  return isOlderForm && /^[\d.]+$/.test(rest[0] ?? "") ? `${value}:${rest.shift()}` : value;
}

type Meaningless = "switch" | "value" | readonly string[];

function takesNext(option: Meaningless, rest: string[]): boolean {
  if (option === "switch") return false;
  return option === "value" || option.includes(rest[0] ?? "");
}

const onOffAuto = ["on", "off", "auto"] as const;

/** Options of llama.cpp's programs that change how they run or look, not what a model answers. */
const meaninglessOptions = new Map<string, Meaningless>([
  ...switches(
    "-i --interactive -if --interactive-first -mli --multiline-input --display-prompt --no-display-prompt",
    "--warmup --no-warmup --simple-io --jinja --perf --no-perf --show-timings --no-show-timings",
    "-cb --cont-batching -nocb --no-cont-batching --check-tensors --swa-full",
    "--repack -nr --no-repack --log-disable --log-prefix --no-log-prefix --log-timestamps --no-log-timestamps",
    "--offline --verbose-prompt --cache-prompt --no-cache-prompt",
  ),
  ...["-co", "--color", "--log-colors", "-fit", "--fit"].map((name) => [name, onOffAuto] as const),
  ...["--prio", "--prio-batch", "--poll", "--poll-batch", "--numa", "--log-file"].map(
    (name) => [name, "value"] as const,
  ),
  ...["-lv", "--verbosity", "--log-verbosity", "-fitt", "--fit-target", "-fitc", "--fit-ctx"].map(
    (name) => [name, "value"] as const,
  ),
]);

function switches(...lines: string[]): (readonly [string, "switch"])[] {
  return lines.flatMap((line) => line.split(" ")).map((name) => [name, "switch"] as const);
}

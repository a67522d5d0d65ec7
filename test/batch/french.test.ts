import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { jauge, stories, temporaryFolder } from "../cli/harness.js";

it("speaks French in the errors of lines and in the end", () => {
  const folder = temporaryFolder();
  const [input, output] = [join(folder, "in.jsonl"), join(folder, "out.jsonl")];
  writeFileSync(
    input,
    [
      '{"prompt":"x"}',
      '{"prompt":"x","temperature":-1}',
      "no JSON",
      '{"prompt":}',
      '{"prompt":',
      '{"a" 1}',
    ].join("\n"),
  );
  const command = [
    "batch",
    input,
    "-o",
    output,
    "-m",
    stories,
    "--device",
    "none",
    "--threads",
    "1",
    "-n",
    "2",
  ];
  const { stderr } = jauge(command, { env: { LC_ALL: "fr_FR.UTF-8" } });
  expect(stderr).toContain("1 réponse, 5 échecs, 0 déjà faite, en ");
  const messages = readFileSync(output, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line))
    .toSorted((a, b) => a.custom_id.localeCompare(b.custom_id))
    .flatMap(({ error }) => error?.message ?? []);
  expect(messages.map((message: string) => message.split(". ")[0])).toEqual([
    "temperature : -1 n'est pas de 0 à 1000",
    "La ligne n'est pas du JSON valide (o inattendu)",
    "La ligne n'est pas du JSON valide (} inattendu)",
    "La ligne n'est pas du JSON valide (elle s'arrête au milieu)",
    "La ligne n'est pas du JSON valide (elle est rompue au caractère 6)",
  ]);
});

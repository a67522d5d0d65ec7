import { inspectMessages } from "../messages/inspect.js";
import { localized } from "../messages/locale.js";
import { formatBytes, formatCount } from "../units.js";
import { metadataRows, table, typeRows, visible } from "./inspect-text.js";
import type { SourceInspection } from "./source-inspection.js";

const texts = localized(inspectMessages);

/** The lines that describe weights that are no GGUF to a person. */
export function* describeSource(inspection: SourceInspection, listTensors: boolean): Generator<string> {
  const { path, format, architecture, parameters, bytes, configuration, metadata, tensors } = inspection;
  yield texts.headings.model;
  yield* table(
    [
      [texts.fields.path, visible(path)],
      [texts.fields.format, visible(format)],
      [texts.fields.architecture, architecture && visible(architecture)],
      [texts.fields.parameters, formatCount(parameters)],
      [texts.fields.bytes, formatBytes(bytes)],
    ].filter((row): row is [string, string] => row[1] !== undefined),
  );
  if (configuration) {
    yield "";
    yield configuration.file;
    yield* table(
      Object.entries(configuration.values).map(([key, value]) => [
        visible(key),
        visible([value].flat().join(", ")),
      ]),
    );
  }
  if (metadata) {
    yield "";
    yield texts.headings.metadata;
    yield* table(metadataRows(metadata));
  }
  yield "";
  yield texts.headings.types;
  yield* table(typeRows({ tensors }));
  yield "";
  yield texts.headings.tensors;
  if (!listTensors) yield `  ${texts.listHint(tensors.length)}`;
  else
    yield* table(
      tensors.map(({ name, type, shape, bytes }) => [
        ...[visible(name), type, shape.join(" × ") || "1", formatBytes(bytes)],
      ]),
    );
}

import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../../src/convert/readers/open-checkpoint.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { elementsOf, torchFixture, torchNames, zipFile } from "./checkpoint-files.js";

const temporary = temporaryFolder();
/** What PyTorch says that the state dictionary of its fixtures holds. */
const expectedState: Record<string, { type: string; shape: number[]; values: number[] }> = JSON.parse(
  await readFile(torchFixture("expected.json"), "utf8"),
);
const variants = [
  ...[2, 3, 4, 5].map((protocol) => `zip-protocol-${protocol}.pth`),
  ...[2, 4].map((protocol) => `stream-protocol-${protocol}.pth`),
];

describe.each(variants)("%s of PyTorch", (name) => {
  it("holds what PyTorch says", async () => {
    const checkpoint = await openCheckpoint(torchFixture(name));
    expect(checkpoint.format).toBe("torch");
    expect([...checkpoint.tensors.keys()]).toEqual(Object.keys(expectedState));
    for (const [tensorName, { type, shape, values }] of Object.entries(expectedState)) {
      const tensor = checkpoint.tensors.get(tensorName)!;
      expect([tensorName, tensor.name, tensor.type, tensor.shape]).toEqual([
        tensorName,
        tensorName,
        torchNames[type],
        shape,
      ]);
      expect(await elementsOf(tensor), tensorName).toEqual(values);
    }
    await checkpoint.close();
  });

  it("gives every part of a tensor", async () => {
    const checkpoint = await openCheckpoint(torchFixture(name));
    for (const tensorName of ["views.permuted", "views.expanded", "views.steps", "views.double_transposed"]) {
      const { values } = expectedState[tensorName]!;
      const tensor = checkpoint.tensors.get(tensorName)!;
      for (let first = 0; first < values.length; first += 5)
        for (let count = 1; count <= values.length - first; count += 17)
          expect(await elementsOf(tensor, first, count)).toEqual(values.slice(first, first + count));
    }
    await checkpoint.close();
  });
});

it("takes the weights out of what a trainer saved", async () => {
  const checkpoint = await openCheckpoint(torchFixture("trainer.pth"));
  expect([...checkpoint.tensors.keys()]).toEqual(["weight", "bias"]);
  expect(await elementsOf(checkpoint.tensors.get("weight")!)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(await elementsOf(checkpoint.tensors.get("bias")!)).toEqual([7, 8]);
  await checkpoint.close();
});

it("joins the names of nested dictionaries", async () => {
  const checkpoint = await openCheckpoint(torchFixture("nested.pth"));
  expect([...checkpoint.tensors.keys()]).toEqual(["a.b", "a.c.d", "e"]);
  await checkpoint.close();
});

describe("what asks for more than weights is refused by name", () => {
  it("a pickled module", async () => {
    await expect(openCheckpoint(torchFixture("module.pth"))).rejects.toMatchObject({
      code: "checkpoint-class-refused",
      facts: { class: "torch.nn.modules.linear.Linear" },
    });
  });

  it("a TorchScript archive", async () => {
    await expect(openCheckpoint(torchFixture("script.pth"))).rejects.toMatchObject({
      code: "checkpoint-unsupported",
      facts: { field: expect.stringContaining("constants.pkl") },
    });
  });

  const global = (module: string, name: string) => `c${module}\n${name}\n`;
  const stackGlobal = (module: string, name: string) =>
    [module, name]
      .map((text) => `\x8c${String.fromCharCode(text.length)}${text}`)
      .join("")
      .concat("\x93");
  const call = "X\x02\x00\x00\x00id\x85R.";
  it.each([
    ["os.system", `\x80\x02${global("os", "system")}${call}`],
    ["posix.system", `\x80\x02${global("posix", "system")}${call}`],
    ["__builtin__.eval", `\x80\x02${global("__builtin__", "eval")}${call}`],
    ["builtins.exec", `\x80\x04${stackGlobal("builtins", "exec")}${call}`],
    ["builtins.getattr", `\x80\x04${stackGlobal("builtins", "getattr")}${call}`],
    ["torch.load", `\x80\x02${global("torch", "load")}${call}`],
    ["torch.storage._load_from_bytes", `\x80\x02${global("torch.storage", "_load_from_bytes")}${call}`],
    ["subprocess.Popen", "\x80\x02(isubprocess\nPopen\n."],
    ["os.system", `\x80\x02}X\x01\x00\x00\x00a(l${global("os", "system")}${call}`],
  ])("%s", async (name, pickle) => {
    const bytes = Buffer.from(pickle, "latin1");
    const stream = Buffer.concat([await streamStart(), bytes]);
    const refused = { code: "checkpoint-class-refused", facts: { class: name } };
    const zip = zipFile({ "archive/data.pkl": bytes });
    await expect(openCheckpoint(await temporary.file("evil.bin", zip))).rejects.toMatchObject(refused);
    await expect(openCheckpoint(await temporary.file("evil.pt", stream))).rejects.toMatchObject(refused);
  });

  it.each([
    ["OBJ", "\x80\x02(ccollections\nOrderedDict\no."],
    ["EXT1", "\x80\x02\x82\x01."],
    ["INT", "\x80\x02I1\n."],
    ["NEWOBJ_EX", "\x80\x04ccollections\nOrderedDict\n)}\x92."],
  ])("the opcode %s", async (name, pickle) => {
    const zip = zipFile({ "archive/data.pkl": Buffer.from(pickle, "latin1") });
    await expect(openCheckpoint(await temporary.file("odd.bin", zip))).rejects.toMatchObject({
      code: "checkpoint-unsupported",
      facts: { problem: expect.stringContaining(name) },
    });
  });

  it("a state set on anything but a dictionary, and a call of what is no function", async () => {
    for (const pickle of ["\x80\x02]}b.", "\x80\x02K\x01)R.", "\x80\x02ctorch\nSize\nK\x01R."]) {
      const zip = zipFile({ "archive/data.pkl": Buffer.from(pickle, "latin1") });
      await expect(openCheckpoint(await temporary.file("odd.bin", zip))).rejects.toMatchObject({
        code: "checkpoint-malformed",
      });
    }
  });
});

/** Magic number, version and facts of the machine, as old files start. */
async function streamStart(): Promise<Buffer> {
  const file = await readFile(torchFixture("stream-protocol-2.pth"));
  let end = 0;
  for (let pickles = 0; pickles < 3; pickles++) end = file.indexOf("\x2e\x80\x02", end, "latin1") + 1;
  return file.subarray(0, end);
}

describe("limits", () => {
  const refusal = async (pickle: Buffer, files: Record<string, Uint8Array> = {}) => {
    const zip = zipFile({ "archive/data.pkl": pickle, ...files });
    return openCheckpoint(await temporary.file("limits.bin", zip)).then(
      (checkpoint) => checkpoint.close().then(() => "opened"),
      (error) => error.code,
    );
  };
  const latin1 = (text: string) => Buffer.from(text, "latin1");

  it("a dictionary inside itself", async () => {
    expect(await refusal(latin1("\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."))).toBe("checkpoint-malformed");
  });

  it("dictionaries that double at every level", async () => {
    let pickle = "\x80\x02}q\x00";
    for (let level = 0; level < 40; level++) {
      const inner = `h${String.fromCharCode(level)}`;
      pickle += `}q${String.fromCharCode(level + 1)}(X\x01\x00\x00\x00a${inner}X\x01\x00\x00\x00b${inner}u`;
    }
    expect(await refusal(latin1(`${pickle}.`))).toBe("checkpoint-malformed");
  });

  it("lengths beyond the file, tensors beyond their storage, storages beyond theirs", async () => {
    expect(await refusal(latin1("\x80\x02X\xff\xff\xff\x7fabc."))).toBe("checkpoint-malformed");
    expect(await refusal(latin1("\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc."))).toBe(
      "checkpoint-malformed",
    );
    const tensor = (elements: number, offset: number, size: number, stride: number) =>
      latin1(
        "\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n" +
          "((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu" +
          `K${String.fromCharCode(elements)}tQK${String.fromCharCode(offset)}` +
          `K${String.fromCharCode(size)}\x85K${String.fromCharCode(stride)}\x85\x89}tRs.`,
      );
    const files = { "archive/data/0": Buffer.alloc(16) };
    expect(await refusal(tensor(4, 0, 4, 1), files)).toBe("opened");
    expect(await refusal(tensor(4, 1, 4, 1), files)).toBe("checkpoint-malformed");
    expect(await refusal(tensor(4, 0, 3, 2), files)).toBe("checkpoint-malformed");
    expect(await refusal(tensor(5, 0, 4, 1), files)).toBe("checkpoint-malformed");
    expect(await refusal(tensor(4, 0, 4, 1))).toBe("checkpoint-malformed");
  });

  it("says that an archive whose end is missing is not whole", async () => {
    const whole = await readFile(torchFixture(variants[0]!));
    for (const fileBytes of [100, whole.length - 5]) {
      const path = await temporary.file("short.bin", whole.subarray(0, fileBytes));
      await expect(openCheckpoint(path)).rejects.toMatchObject({
        code: "checkpoint-cut-short",
        facts: { fileBytes },
      });
    }
  });

  it("compressed archives", async () => {
    const zip = zipFile({ "archive/data.pkl": latin1("\x80\x02}.") }, 8);
    await expect(openCheckpoint(await temporary.file("deflated.bin", zip))).rejects.toMatchObject({
      code: "checkpoint-unsupported",
      facts: { field: "archive/data.pkl" },
    });
  });
});

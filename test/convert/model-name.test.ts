import { describe, expect, it } from "vitest";
import { namePartsOf, sizeLabelOf } from "../../src/convert/model-name.js";

// what get_model_id_components and size_label of gguf-py at llama.cpp v0.5.0 give
describe("the parts of a model's identifier", () => {
  it.each([
    [
      "meta-llama/Llama-2-7b-hf",
      6738415616,
      {
        name: "Llama 2 7b Hf",
        organization: "Meta Llama",
        basename: "Llama-2",
        finetune: "hf",
        sizeLabel: "7B",
      },
    ],
    [
      "Qwen/Qwen2.5-7B-Instruct",
      7615616512,
      {
        name: "Qwen2.5 7B Instruct",
        organization: "Qwen",
        basename: "Qwen2.5",
        finetune: "Instruct",
        sizeLabel: "7B",
      },
    ],
    [
      "mistralai/Mixtral-8x7B-Instruct-v0.1",
      46702792704,
      {
        name: "Mixtral 8x7B Instruct v0.1",
        organization: "Mistralai",
        basename: "Mixtral",
        finetune: "Instruct",
        version: "v0.1",
        sizeLabel: "8x7B",
      },
    ],
    [
      "microsoft/Phi-3-mini-128k-instruct",
      3821079552,
      {
        name: "Phi 3 Mini 128k Instruct",
        organization: "Microsoft",
        basename: "Phi-3",
        finetune: "128k-instruct",
        sizeLabel: "mini",
      },
    ],
    [
      "bigscience/bloom-7b1-petals",
      7069016064,
      {
        name: "Bloom 7b1 Petals",
        organization: "Bigscience",
        basename: "bloom",
        finetune: "petals",
        sizeLabel: "7.1B",
      },
    ],
    [
      "HuggingFaceTB/SmolLM2-135M-Instruct",
      134515008,
      {
        name: "SmolLM2 135M Instruct",
        organization: "HuggingFaceTB",
        basename: "SmolLM2",
        finetune: "Instruct",
        sizeLabel: "135M",
      },
    ],
    [
      "google/gemma-3-4b-it",
      3880099328,
      { name: "Gemma 3 4b It", organization: "Google", basename: "gemma-3", finetune: "it", sizeLabel: "4B" },
    ],
    [
      "Qwen/Qwen3-30B-A3B",
      30532122624,
      { name: "Qwen3 30B A3B", organization: "Qwen", basename: "Qwen3", sizeLabel: "30B-A3B" },
    ],
    [
      "openai/gpt-oss-120b",
      116829156672,
      { name: "Gpt Oss 120b", organization: "Openai", basename: "gpt-oss", sizeLabel: "120B" },
    ],
    ["gpt2", 124439808, { name: "Gpt2" }],
    [
      "EleutherAI/pythia-70m-deduped",
      70426624,
      {
        name: "Pythia 70m Deduped",
        organization: "EleutherAI",
        basename: "pythia",
        finetune: "deduped",
        sizeLabel: "70M",
      },
    ],
    [
      "stabilityai/stablelm-2-1_6b",
      1644515328,
      { name: "Stablelm 2 1_6b", organization: "Stabilityai", basename: "stablelm-2", sizeLabel: "1.6B" },
    ],
    ["my own model", 1000, { name: "My Own Model" }],
    ["./some-folder", 1000, { name: "Some Folder" }],
    [
      "TheBloke/Llama-2-13B-chat-q4_0-lora",
      13015864320,
      {
        name: "Llama 2 13B Chat Q4_0 Lora",
        organization: "TheBloke",
        basename: "Llama-2",
        finetune: "chat-lora",
        sizeLabel: "13B",
      },
    ],
    [
      "NousResearch/Hermes-2-Pro-Llama-3-8B",
      8030261248,
      {
        name: "Hermes 2 Pro Llama 3 8B",
        organization: "NousResearch",
        basename: "Hermes-2-Pro-Llama-3",
        sizeLabel: "8B",
      },
    ],
    [
      "crestf411/daybreak-kunoichi-2dpo-7b-v1.5",
      7241732096,
      {
        name: "Daybreak Kunoichi 2dpo 7b v1.5",
        organization: "Crestf411",
        basename: "daybreak-kunoichi",
        finetune: "2dpo",
        version: "v1.5",
        sizeLabel: "7B",
      },
    ],
    ["-", 10, {}],
  ])("%s", (identifier, parameters, parts) => {
    expect(namePartsOf(identifier, parameters)).toEqual(parts);
  });
});

describe("the size in a name", () => {
  it.each([
    [1, "0.00K"],
    [999, "1.0K"],
    [1000, "1.0K"],
    [49999, "50K"],
    [123456, "123K"],
    [999999, "1000K"],
    [1500000, "1.5M"],
    [6738415616, "6.7B"],
    [46702792704, "47B"],
    [1500000000000, "1.5T"],
    [500000, "500K"],
    [1000001, "1.0M"],
    [95000000, "95M"],
  ])("of %d parameters is %s", (total, label) => {
    expect(sizeLabelOf({ total, shared: 0, expert: 0, experts: 0 })).toBe(label);
  });

  it("of a mixture counts what one expert of each layer makes", () => {
    expect(sizeLabelOf({ total: 46.7e9, shared: 1.6e9, expert: 5.6e9, experts: 8 })).toBe("8x7.2B");
  });
});

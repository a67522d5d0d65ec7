import { describe, expect, it } from "vitest";
import { deviceReading } from "../../src/hardware/device-reading.js";
import { drmCards, drmUsers, parseFdinfo } from "../../src/hardware/drm.js";
import { machine } from "./machine.js";

const amd = "0000:03:00.0";
const intel = "0000:00:02.0";
const cards = {
  "sys/class/drm/card0/device/uevent": `DRIVER=i915\nPCI_SLOT_NAME=${intel}\n`,
  "sys/class/drm/card0/device/vendor": "0x8086\n",
  "sys/class/drm/card1/device/uevent": `DRIVER=amdgpu\nPCI_SLOT_NAME=${amd}\n`,
  "sys/class/drm/card1/device/vendor": "0x1002\n",
  "sys/class/drm/card1/device/mem_info_vram_total": "25753026560\n",
  "sys/class/drm/card1/device/mem_info_vram_used": "1753026560\n",
  "sys/class/drm/card1-DP-1/status": "connected\n",
  "sys/class/drm/renderD128/device/vendor": "0x1002\n",
  "sys/class/drm/version": "drm 1.1.0 20060810\n",
};

describe("graphics cards", () => {
  it("are found by their PCI address, with their memory where the driver tells it", () => {
    expect(drmCards(machine(cards))).toEqual([
      { busId: intel, vendor: "intel" },
      { busId: amd, vendor: "amd", memory: { totalBytes: 25_753_026_560, usedBytes: 1_753_026_560 } },
    ]);
    expect(drmCards(machine({}))).toEqual([]);
  });

  it("are read again and again while they compute", () => {
    const root = machine(cards);
    expect(deviceReading({ busId: amd }, root)).toEqual({
      totalBytes: 25_753_026_560,
      usedBytes: 1_753_026_560,
      freeBytes: 24_000_000_000,
    });
    expect(deviceReading({ busId: intel }, root)).toBeUndefined();
    expect(deviceReading({}, root)).toBeUndefined();
  });
});

const amdgpu = (client: number, vram: string) => `pos:	0
drm-driver:	amdgpu
drm-client-id:	${client}
drm-pdev:	${amd}
drm-memory-vram:	${vram}
drm-memory-gtt: 	2048 KiB
drm-memory-cpu: 	0 KiB
`;

describe("the users of a card", () => {
  it("are those who opened it, each client once, greatest first", () => {
    const root = machine({
      "proc/100/comm": "Xorg\n",
      "proc/100/fd/7": "-> /dev/dri/card1",
      "proc/100/fdinfo/7": amdgpu(1, "1024 KiB"),
      // The same client by a second descriptor, and one of another card.
      "proc/100/fd/8": "-> /dev/dri/renderD128",
      "proc/100/fdinfo/8": amdgpu(1, "1024 KiB"),
      "proc/100/fd/9": "-> /dev/dri/card0",
      "proc/100/fdinfo/9": amdgpu(2, "1024 KiB").replace(amd, intel),
      "proc/200/comm": "blender\n",
      "proc/200/fd/4": "-> /dev/dri/renderD128",
      "proc/200/fdinfo/4": amdgpu(3, "3 MiB"),
      "proc/200/fd/5": "-> /dev/dri/renderD128",
      "proc/200/fdinfo/5": amdgpu(4, "1 MiB"),
      "proc/300/comm": "bash\n",
      "proc/300/fd/1": "-> /dev/null",
      "proc/300/fdinfo/1": "pos:	0\n",
      "proc/self/comm": "node\n",
    });
    expect(drmUsers(amd, false, root)).toEqual([
      { pid: 200, name: "blender", bytes: 4 * 2 ** 20 },
      { pid: 100, name: "Xorg", bytes: 2 ** 20 },
    ]);
    expect(drmUsers(amd, true, root)[0]).toEqual({ pid: 200, name: "blender", bytes: 8 * 2 ** 20 });
  });

  it.each([
    ["i915", "drm-total-local0: 8 MiB\ndrm-resident-local0: 6 MiB\ndrm-total-system0: 2 MiB\n", 6, 2],
    ["xe", "drm-total-vram0: 5 MiB\ndrm-total-gtt: 1 MiB\ndrm-total-stolen: 0\n", 5, 1],
    ["amdgpu", "drm-total-vram: 9 MiB\ndrm-resident-vram: 7 MiB\ndrm-memory-vram: 7 MiB\n", 7, 0],
    ["integrated i915", "drm-total-system0: 3 MiB\ndrm-resident-system0: 1 MiB\n", 0, 1],
    ["bytes", "drm-memory-vram: 1048576\n", 1, 0],
  ])("%s", (driver, regions, device, host) => {
    const client = parseFdinfo(`drm-driver:	${driver}\ndrm-pdev:	${amd}\ndrm-client-id:	1\n${regions}`);
    expect(client).toMatchObject({ deviceBytes: device * 2 ** 20, hostBytes: host * 2 ** 20 });
  });

  it("are none in what is no graphics descriptor", () => {
    expect(parseFdinfo("pos:	0\nflags:	02\n")).toBeUndefined();
  });
});

/*
 * Two cards as NVIDIA's library would tell of them, with the structs of nvml.h (CUDA 12) as a C compiler lays them out.
 * -DOLD leaves out what came with drivers 510 and 515.
 */
#include <stdio.h>
#include <string.h>

typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct { char busIdLegacy[16]; unsigned int domain, bus, device, pciDeviceId, pciSubSystemId; char busId[32]; } nvmlPciInfo_t;
typedef struct { unsigned long long total, free, used; } nvmlMemory_t;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } nvmlMemory_v2_t;
typedef struct { unsigned int pid; unsigned long long usedGpuMemory; unsigned int gpuInstanceId, computeInstanceId; } nvmlProcessInfo_t;

static char cards[2];
static int indexOf(nvmlDevice_t device) { return device == (nvmlDevice_t)&cards[0] ? 0 : device == (nvmlDevice_t)&cards[1] ? 1 : -1; }

int nvmlInit_v2(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 3; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
  if (index == 2) return 15; /* NVML_ERROR_GPU_IS_LOST */
  *device = (nvmlDevice_t)&cards[index];
  return 0;
}
int nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned int length) {
  snprintf(name, length, "NVIDIA Test %d", indexOf(device));
  return 0;
}
int nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci) {
  memset(pci, 0, sizeof *pci);
  pci->bus = indexOf(device) == 0 ? 0xc1 : 0x0a;
  pci->domain = indexOf(device);
  pci->device = indexOf(device);
  snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", pci->domain, pci->bus, pci->device);
  return 0;
}
int nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *milliwatts) {
  if (indexOf(device) != 0) return 3; /* NVML_ERROR_NOT_SUPPORTED */
  *milliwatts = 215500;
  return 0;
}
int nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory) {
  (void)device;
  *memory = (nvmlMemory_t){.total = 24ull << 30, .free = 20ull << 30, .used = 4ull << 30};
  return 0;
}
static int list(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos, unsigned int first, unsigned int last) {
  if (indexOf(device) != 0) { *count = 0; return 0; }
  unsigned int room = *count;
  *count = last - first;
  if (room < last - first) return 7; /* NVML_ERROR_INSUFFICIENT_SIZE */
  for (unsigned int pid = first; pid < last; pid++)
    infos[pid - first] = (nvmlProcessInfo_t){.pid = pid, .usedGpuMemory = pid == 3 ? ~0ull : (unsigned long long)pid << 20, .gpuInstanceId = ~0u, .computeInstanceId = ~0u};
  return 0;
}
#ifdef OLD
int nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos) { return list(device, count, infos, 1, 4); }
#else
int nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int *milliwatts) { (void)device; *milliwatts = 300000; return 0; }
int nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *millijoules) {
  if (indexOf(device) != 0) return 3; /* NVML_ERROR_NOT_SUPPORTED */
  *millijoules = 5000000001500ull;
  return 0;
}
int nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory) {
  (void)device;
  if (memory->version != (sizeof(nvmlMemory_v2_t) | (2u << 24))) return 25; /* NVML_ERROR_ARGUMENT_VERSION_MISMATCH */
  *memory = (nvmlMemory_v2_t){.version = 2, .total = 12ull << 30, .reserved = 1ull << 28, .free = 11ull << 30, .used = 3ull << 28};
  return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos) { return list(device, count, infos, 1, 4); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned int *count, nvmlProcessInfo_t *infos) { return list(device, count, infos, 2, 202); }
#endif
int nvmlSystemGetProcessName(unsigned int pid, char *name, unsigned int length) {
  if (pid == 2) return 6; /* NVML_ERROR_NOT_FOUND */
  snprintf(name, length, "/usr/bin/process-%u", pid);
  return 0;
}

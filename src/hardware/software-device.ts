/** Whether what calls itself a device computes on the CPU's own cores: Vulkan drivers for machines without a graphics card. */
export function isSoftwareDevice({ description }: { description: string }): boolean {
  return /llvmpipe|lavapipe|swiftshader/i.test(description);
}

// The one place where PCI comes in: what a PCI device is on the wire and in configuration space. Another package that
// has the same is taken instead by changing this line.
export * from "./pci/index.ts";

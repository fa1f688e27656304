import type { Priority } from "@godwit/core";
import { machine } from "./devices.ts";

// #region order
async function move(priority: Priority) {
  const source = machine({ priority });
  source.remapper.window = 0x8000;
  source.remapper.target = 0x10_0000;
  source.drive.ring = 0x8040;
  const destination = machine({ priority });
  const { sections, loadOrder } = await destination.kernel.load(source.kernel.save());
  console.log(`arrived ${sections.map(({ idstr }) => idstr).join(", ")}; loaded ${loadOrder.join(", ")}`);
}

await move("iommu");
await move("low");
// #endregion

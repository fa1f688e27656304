import { machine } from "./devices.ts";

// #region held
const source = machine();
source.drive.pending = 1;
const destination = machine();
await destination.kernel.load(source.kernel.save());
console.log(destination.told.join(", "));
// #endregion

// A description of somebody else's that reads its section twice, and then no more: what an edit writes is not taken on trust.
import { family, MigrationError, u8, vmstate } from "@godwit/core";

let times = 0;

const port92 = vmstate({ name: "port92", version: 1, fields: { outport: u8 } });

export const families = [
  family({
    name: "port92",
    build: () => port92,
    infer() {
      if (++times % 3 === 0) throw new MigrationError("PARAMETER_WRONG", "the third time");
      return undefined;
    },
  }),
];

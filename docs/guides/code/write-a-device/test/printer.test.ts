import { describePlugin } from "@godwit/testkit/vitest";
import { printerTest } from "./printer-test.ts";

describePlugin(printerTest);

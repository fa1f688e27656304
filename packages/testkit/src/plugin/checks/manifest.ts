// Who the plugin says it is, and that it registers something at all: what follows would prove nothing otherwise.
import type { CheckFunction } from "../check.ts";
import { testedOf } from "../lab.ts";
import { versionOf } from "../versions.ts";

const packageName = /^(@[a-z0-9][\w.-]*\/)?[a-z0-9][\w.-]*$/;

export const manifestCheck: CheckFunction = async (lab, findings) => {
  const { bench } = lab.make();
  if (testedOf(bench.recorded).length === 0) {
    const others = bench.recorded.map(({ key }) => key).join(", ");
    findings.add("NOTHING_REGISTERED", { text: others === "" ? "no device at all" : `only companions: ${others}` });
  }
  for (const { name, version, contract } of bench.plugins) {
    const refuse = (path: string, found: unknown) =>
      findings.add("MANIFEST_INVALID", { path, text: `plugin "${String(name)}" has ${path} ${JSON.stringify(found)}` });
    if (typeof name !== "string" || !packageName.test(name)) refuse("name", name);
    if (typeof version !== "string" || versionOf(version) === undefined) refuse("version", version);
    if (!Number.isInteger(contract) || contract < 1) refuse("contract", contract);
  }
  return undefined;
};

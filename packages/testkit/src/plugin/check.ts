// What one check is, and how it is run: alone, with machines of its own.
import { type CheckName, checks, Findings, PluginError, type PluginFinding } from "./findings.ts";
import { Lab, SetupFailure } from "./lab.ts";
import type { PluginTest } from "./test.ts";

/** Looks at the plugin, and adds what it finds. An answer says why there was nothing to look at. */
export type CheckFunction = <M>(lab: Lab<M>, findings: Findings) => Promise<string | undefined>;

export interface CheckResult {
  readonly findings: readonly PluginFinding[];
  /** Why the check has nothing to say of this plugin; follows from what it registers. */
  readonly idle: string | undefined;
}

/** One check of one plugin. */
export interface PluginCheck {
  readonly name: CheckName;
  /** What it proves, in a line; or that it is left out, and why. */
  readonly title: string;
  /** Rejects with a `PluginError` where it found something. */
  run(): Promise<void>;
  /** The same as data. */
  find(): Promise<CheckResult>;
}

export function pluginCheck<M>(test: PluginTest<M>, name: CheckName, look: CheckFunction): PluginCheck {
  const leftOut = test.without?.find(({ check }) => check === name);
  const find = async (): Promise<CheckResult> =>
    leftOut === undefined ? findWith(test, name, look) : { findings: [], idle: leftOut.because };
  return {
    name,
    title: leftOut === undefined ? `${name}: ${checks[name]}` : `${name}: left out, because ${leftOut.because}`,
    find,
    async run() {
      const { findings } = await find();
      if (findings.length > 0) throw new PluginError(findings);
    },
  };
}

async function findWith<M>(test: PluginTest<M>, name: CheckName, look: CheckFunction): Promise<CheckResult> {
  const findings = new Findings(name);
  const lab = new Lab(test);
  const guarded = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof SetupFailure)) throw error;
      findings.add("SETUP_FAILED", { text: error.message, cause: error.cause });
      return undefined;
    }
  };
  let idle: string | undefined;
  try {
    idle = await guarded(() => look(lab, findings));
  } finally {
    await guarded(() => lab.close());
  }
  return { findings: findings.all(), idle };
}

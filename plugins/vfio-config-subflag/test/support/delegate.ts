// A driver that does as another one, but for what a test changes.
import type { ModelDriver } from "@godwit/vfio-config-subflag";

export function delegate(inner: ModelDriver, changed: Partial<ModelDriver>): ModelDriver {
  return {
    features: inner.features,
    configOrder: inner.configOrder,
    get state() {
      return inner.state;
    },
    get jobs() {
      return inner.jobs;
    },
    get checksum() {
      return inner.checksum;
    },
    step: (to) => inner.step(to),
    preCopyInfo: () => inner.preCopyInfo(),
    stopCopyBytes: () => inner.stopCopyBytes(),
    read: (into) => inner.read(into),
    write: (bytes) => inner.write(bytes),
    setConfig: (config) => inner.setConfig?.(config),
    reset: () => inner.reset(),
    work: (jobs) => inner.work(jobs),
    memory: () => inner.memory(),
    ...changed,
  };
}

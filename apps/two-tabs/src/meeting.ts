// The meeting: a shared worker of all tabs, by which one hands a port to another. What goes over the port is theirs alone.
import type { FromMeeting, ToMeeting } from "./words.ts";

/** It is handed on, and never used here. */
type HandedPort = object;

interface TabPort {
  postMessage(message: FromMeeting<HandedPort>, transfer?: HandedPort[]): void;
  onmessage: ((event: { readonly data: ToMeeting<HandedPort> }) => void) | null;
}
const scope = globalThis as unknown as {
  onconnect: ((event: { readonly ports: readonly TabPort[] }) => void) | null;
};

/** In the order in which they came. */
const tabs = new Set<TabPort>();

scope.onconnect = ({ ports: [tab] }) => {
  if (tab === undefined) return;
  tab.onmessage = ({ data }) => {
    switch (data.do) {
      case "enter":
        tab.postMessage({ is: "entered", first: tabs.size === 0 });
        tabs.add(tab);
        return;
      case "leave":
        tabs.delete(tab);
        return;
      case "hand-over": {
        const other = [...tabs].find((each) => each !== tab);
        other?.postMessage({ is: "port", port: data.port }, [data.port]);
        tab.postMessage({ is: "handed-over", taken: other !== undefined });
      }
    }
  };
};

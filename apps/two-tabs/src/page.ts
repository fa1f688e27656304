// The tab: it shows what its worker says, and hands ports between the worker and the meeting. It never touches the machine.
import { showStream } from "./stream-page.ts";
import type { Ended, Evidence, FromMachine, FromMeeting, ToMachine, ToMeeting } from "./words.ts";

const element = <E extends HTMLElement>(id: string): E => document.getElementById(id) as E;
const show = (id: string, text: string): void => {
  element(id).textContent = text;
};
const say = (text: string): void => {
  const item = document.createElement("li");
  item.textContent = text;
  element("log").prepend(item);
};

const worker = new Worker("worker.js", { type: "module" });
const machine = (message: ToMachine<MessagePort>, transfer: MessagePort[] = []): void =>
  worker.postMessage(message, transfer);
const { port: meetingPort } = new SharedWorker("meeting.js", { type: "module", name: "two-tabs" });
const meeting = (message: ToMeeting<MessagePort>, transfer: MessagePort[] = []): void =>
  meetingPort.postMessage(message, transfer);

/** The first and the last line that the machine has printed in this tab, and how many. */
const lines = { first: 0, last: 0, count: 0 };

worker.onmessage = ({ data }: MessageEvent<FromMachine>) => {
  switch (data.is) {
    case "line":
      lines.first ||= data.line;
      lines.last = data.line;
      lines.count++;
      show("lines", `${lines.first} to ${lines.last}, ${lines.count} in all`);
      return;
    case "running":
      return isRunning(data.running);
    case "round":
      return say(`round ${data.round}: ${data.bytes} bytes sent, ${data.pendingBytes} dirty again`);
    case "ended":
      return ended(data.ended);
    case "evidence":
      return evidence(data.evidence);
  }
};
worker.onerror = ({ message }) => say(`the worker failed: ${message}`);

function isRunning(running: boolean): void {
  show("state", running ? "runs here" : "stands");
  document.body.classList.toggle("running", running);
  element<HTMLButtonElement>("send").disabled = !running;
}

function ended(end: Ended): void {
  const { way, status, code, message, rounds, sentBytes, downtimeMs } = end;
  const how = code === undefined ? "" : `: ${message}`;
  const downtime = downtimeMs === undefined ? "" : `, stood ${downtimeMs.toFixed(1)} ms`;
  say(`${way === "out" ? "sent away" : "came in"}: ${status}${how} (${rounds} rounds, ${sentBytes} bytes${downtime})`);
  show("ended", JSON.stringify(end));
}

function evidence(found: Evidence): void {
  const { steps, problems } = found;
  say(problems.length === 0 ? `${steps} steps: nothing lost, repeated or torn` : `broken: ${problems.join("; ")}`);
  show("evidence", JSON.stringify(found));
}

let offered: MessagePort | undefined;
meetingPort.onmessage = ({ data }: MessageEvent<FromMeeting<MessagePort>>) => {
  switch (data.is) {
    case "entered":
      show("tab", data.first ? "the first tab" : "another tab");
      if (data.first) machine({ do: "switch-on" });
      return;
    case "handed-over":
      if (data.taken && offered !== undefined) machine({ do: "send", port: offered }, [offered]);
      else say("there is no other tab: open this page once more");
      offered = undefined;
      return;
    case "port":
      say("a machine comes in");
      show("ended", "");
      return machine({ do: "receive", port: data.port }, [data.port]);
  }
};

element("send").onclick = () => {
  const { port1, port2 } = new MessageChannel();
  show("ended", "");
  offered = port1;
  meeting({ do: "hand-over", port: port2 }, [port2]);
};
element("open").onclick = () => void window.open(location.href, "_blank");
element("examine").onclick = () => {
  show("evidence", "");
  machine({ do: "examine" });
};
element("paper").onchange = () => machine({ do: "paper", has: element<HTMLInputElement>("paper").checked });
addEventListener("pagehide", () => meeting({ do: "leave" }));

async function showServedStream(): Promise<void> {
  const response = await fetch("qemu.stream");
  if (!response.ok) return;
  const { sections, ...told } = showStream(new Uint8Array(await response.arrayBuffer()));
  for (const { name, bytes } of sections) {
    const row = element<HTMLTableElement>("sections").insertRow();
    row.insertCell().textContent = name;
    row.insertCell().textContent = String(bytes);
  }
  show("stream", JSON.stringify(told));
}

isRunning(false);
meeting({ do: "enter" });
showServedStream().catch((error: unknown) => say(String(error)));

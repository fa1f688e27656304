import type { MessagePort, Worker } from "node:worker_threads"; // in a browser both are there without it
import { messagePortChannel } from "@godwit/transport/message-port";

/** Whoever has started the worker: one port of a pair is its own, the other one goes over by a message. */
export function channelTo(worker: Worker) {
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ port: port2 }, [port2]);
  return messagePortChannel(port1);
}

/** The worker, in the event that brings the port: `addEventListener("message", ({ data }) => channelOf(data))`. */
export function channelOf({ port }: { readonly port: MessagePort }) {
  return messagePortChannel(port);
}

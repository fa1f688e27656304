// What every transport must do, as tests: a transport proves itself by naming how a pair of its channels is made.
import type { Channel, Transport } from "@godwit/transport";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";

export interface ComplianceSetup {
  readonly transport: Transport;
  /** An address that can be listened on; each call another one, or one that the listener completes. */
  address(): string;
  /** An address where nobody listens. */
  deadAddress(): string;
  /** More than what lies between sender and receiver while nobody reads, whatever the buffers in between. Bytes. */
  readonly boundBytes: number;
  /** False where the network knows no reset: a peer that only reads sees an abort as an end. The default is true. */
  readonly readerSeesAbort?: boolean;
}

/** Lets everything that is ready happen: timers play no part, only turns of the event loop. */
async function settle(turns = 20): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let x = seed >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    bytes[i] = x >>> 24;
  }
  return bytes;
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

async function readAll(channel: Channel): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of channel.receive()) chunks.push(chunk);
  return concat(chunks);
}

async function readExactly(channel: Channel, length: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let got = 0;
  for await (const chunk of channel.receive()) {
    chunks.push(chunk);
    got += chunk.length;
    if (got >= length) break;
  }
  return concat(chunks);
}

/** The code of the error that a promise is rejected with; "none" when it is not. */
async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
    return "none";
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
}

export function transportCompliance(name: string, setup: ComplianceSetup): void {
  const { transport, readerSeesAbort = true } = setup;
  const readingAborted = readerSeesAbort ? "TRANSPORT_CLOSED" : "none";
  const opened: Channel[] = [];

  async function pair(): Promise<[Channel, Channel]> {
    const listener = await transport.listen(setup.address());
    const [here, there] = await Promise.all([transport.connect(listener.uri), listener.accept()]);
    await listener.close();
    opened.push(here, there);
    return [here, there];
  }

  describe(`${name} channel`, () => {
    afterEach(() => {
      for (const channel of opened.splice(0)) channel.abort(new Error("the test is over"));
    });

    it("carries bytes whole and in order, both ways at once, however they are cut", async () => {
      const sizes = fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(sizes, sizes, async (thereSizes, backSizes) => {
          const [a, b] = await pair();
          const thereChunks = thereSizes.map((size, i) => pattern(size, i + 1));
          const backChunks = backSizes.map((size, i) => pattern(size, i + 101));
          const sendAll = async (channel: Channel, chunks: readonly Uint8Array[]): Promise<void> => {
            for (const chunk of chunks) await channel.send(chunk);
          };
          const [atB, atA] = await Promise.all([
            readExactlyOrNothing(b, thereChunks),
            readExactlyOrNothing(a, backChunks),
            sendAll(a, thereChunks),
            sendAll(b, backChunks),
          ]);
          expect(Buffer.compare(atB, concat(thereChunks))).toBe(0);
          expect(Buffer.compare(atA, concat(backChunks))).toBe(0);
          await Promise.all([a.close(), b.close()]);
        }),
        { seed: 20_261_121, numRuns: 25 },
      );
    });

    it("keeps the order of sends that nobody waits for", async () => {
      const [a, b] = await pair();
      const chunks = Array.from({ length: 50 }, (_, i) => pattern(i * 977, i + 1));
      const sends = Promise.all(chunks.map((chunk) => a.send(chunk)));
      const expected = concat(chunks);
      const got = await readExactly(b, expected.length);
      await sends;
      expect(Buffer.compare(got, expected)).toBe(0);
    });

    it.each([
      ["buffer", new Uint8Array(100_000)],
      ["Buffer, whose slice is a view,", Buffer.alloc(100_000)],
    ])("lets the sender use its %s again once send has resolved", async (_, buffer) => {
      const [a, b] = await pair();
      const reading = readExactly(b, 20 * buffer.length);
      for (let i = 0; i < 20; i++) {
        buffer.fill(i + 1);
        await a.send(buffer);
      }
      buffer.fill(0xff);
      const got = await reading;
      for (let i = 0; i < 20; i++) {
        const part = got.subarray(i * buffer.length, (i + 1) * buffer.length);
        expect(part.every((byte) => byte === i + 1)).toBe(true);
      }
    });

    it("gives the reader plain chunks that later ones do not overwrite", async () => {
      const [a, b] = await pair();
      const chunks: Uint8Array[] = [];
      const sent = pattern(600_000);
      const sending = a.send(sent).then(() => a.close());
      for await (const chunk of b.receive()) chunks.push(chunk);
      await sending;
      for (const chunk of chunks) expect(Object.getPrototypeOf(chunk)).toBe(Uint8Array.prototype);
      expect(Buffer.compare(concat(chunks), sent)).toBe(0);
    });

    it("makes a sender wait while nobody reads, and go on when somebody does", async () => {
      const [a, b] = await pair();
      const chunk = pattern(64 * 1024);
      const wantedChunks = Math.ceil((2 * setup.boundBytes) / chunk.length);
      let sentChunks = 0;
      const sending = (async () => {
        for (; sentChunks < wantedChunks; sentChunks++) await a.send(chunk);
      })();
      for (let before = -1; before !== sentChunks; ) {
        before = sentChunks;
        await settle(50);
      }
      expect(sentChunks).toBeGreaterThan(0);
      expect(sentChunks * chunk.length).toBeLessThan(setup.boundBytes);
      const got = await readExactly(b, wantedChunks * chunk.length);
      await sending;
      expect(got.length).toBe(wantedChunks * chunk.length);
      expect(Buffer.compare(got.subarray(-chunk.length), chunk)).toBe(0);
    });

    it("loses nothing when a reader leaves its loop and another goes on", async () => {
      const [a, b] = await pair();
      const sent = pattern(300_000);
      const sending = a.send(sent).then(() => a.close());
      const first = await readExactly(b, 1);
      const rest = await readAll(b);
      await sending;
      expect(first.length).toBeGreaterThan(0);
      expect(Buffer.compare(concat([first, rest]), sent)).toBe(0);
    });

    it("sends nothing for an empty chunk", async () => {
      const [a, b] = await pair();
      await a.send(new Uint8Array(0));
      await a.send(Uint8Array.of(7));
      await a.close();
      expect(Array.from(await readAll(b))).toEqual([7]);
    });

    it("ends the peer's reading after all that was sent before close", async () => {
      const [a, b] = await pair();
      const sent = pattern(1_500_000);
      const sends = Promise.all([a.send(sent.subarray(0, 700_000)), a.send(sent.subarray(700_000))]);
      const closing = a.close();
      const got = await readAll(b);
      await Promise.all([sends, closing]);
      expect(Buffer.compare(got, sent)).toBe(0);
    });

    it("delivers the last words of a side that closes without having read", async () => {
      const [a, b] = await pair();
      const flood = pattern(64 * 1024);
      let stop = false;
      const flooding = (async () => {
        while (!stop) await a.send(flood);
      })().catch((error: unknown) => error);
      await settle();
      await b.send(Uint8Array.of(1, 2, 3));
      const closing = b.close();
      expect(Array.from(await readAll(a))).toEqual([1, 2, 3]);
      stop = true;
      await closing;
      await flooding;
    });

    it("ends its own reading at close and refuses to send", async () => {
      const [a, b] = await pair();
      const reading = readAll(a);
      await a.close();
      await a.close();
      expect((await reading).length).toBe(0);
      expect(await codeOf(a.send(Uint8Array.of(1)))).toBe("TRANSPORT_CLOSED");
      expect((await readAll(b)).length).toBe(0);
      await b.close();
    });

    it("fails at once on abort: here with the error given, there with TRANSPORT_CLOSED", async () => {
      const [a, b] = await pair();
      const reason = new Error("enough");
      const reading = readAll(a).catch((error: unknown) => error);
      const readingThere = codeOf(readAll(b));
      await settle();
      a.abort(reason);
      expect(await reading).toBe(reason);
      expect(await a.send(Uint8Array.of(1)).catch((error: unknown) => error)).toBe(reason);
      expect(await readingThere).toBe(readingAborted);
      expect(await codeOf(sendUntilItFails(b))).toBe("TRANSPORT_CLOSED");
      await a.close();
      await b.close();
    });

    it("rejects the sends that wait when the channel is aborted, here and there", async () => {
      const flood = pattern(setup.boundBytes);
      for (const breaker of ["sender", "receiver"] as const) {
        const [a, b] = await pair();
        const waiting = a.send(flood).catch((error: unknown) => error);
        await settle();
        const reason = new Error("enough");
        if (breaker === "sender") a.abort(reason);
        else b.abort(reason);
        const error = await waiting;
        if (breaker === "sender") expect(error).toBe(reason);
        else expect((error as { code?: unknown }).code).toBe("TRANSPORT_CLOSED");
      }
    });
  });

  describe(`${name} listener`, () => {
    it("gives connections in order, to those who waited and to those who come later", async () => {
      const listener = await transport.listen(setup.address());
      const early = listener.accept();
      const clients: Channel[] = [];
      for (let i = 0; i < 3; i++) {
        const client = await transport.connect(listener.uri);
        await client.send(Uint8Array.of(i));
        clients.push(client);
        await settle();
      }
      const servers = [await early, await listener.accept(), await listener.accept()];
      for (const [i, server] of servers.entries()) expect(Array.from(await readExactly(server, 1))).toEqual([i]);
      await listener.close();
      const [client, server] = [clients[0], servers[0]];
      if (client === undefined || server === undefined) throw new Error("no first connection");
      await client.send(Uint8Array.of(9));
      expect(Array.from(await readExactly(server, 1))).toEqual([9]);
      for (const channel of [...clients, ...servers]) channel.abort(new Error("the test is over"));
    });

    it("stops: waiting and later accepts fail, and nobody answers", async () => {
      const listener = await transport.listen(setup.address());
      const waiting = codeOf(listener.accept());
      await listener.close();
      expect(await waiting).toBe("TRANSPORT_CLOSED");
      expect(await codeOf(listener.accept())).toBe("TRANSPORT_CLOSED");
      expect(await codeOf(transport.connect(listener.uri))).toBe("TRANSPORT_REFUSED");
    });

    it("breaks the connections that nobody accepted when it stops", async () => {
      const listener = await transport.listen(setup.address());
      const client = await transport.connect(listener.uri);
      await settle();
      await listener.close();
      expect(await codeOf(readAll(client))).toBe(readingAborted);
    });

    it("refuses what it cannot serve, by code", async () => {
      expect(await codeOf(transport.connect(setup.deadAddress()))).toBe("TRANSPORT_REFUSED");
      expect(await codeOf(transport.connect("carrier-pigeon:coop"))).toBe("TRANSPORT_UNSUPPORTED");
      expect(await codeOf(transport.listen("carrier-pigeon:coop"))).toBe("TRANSPORT_UNSUPPORTED");
      const listener = await transport.listen(setup.address());
      expect(await codeOf(transport.listen(listener.uri))).toBe("TRANSPORT_ADDRESS");
      await listener.close();
    });
  });
}

export interface StoreSetup {
  readonly transport: Transport;
  /** An address that can be written, and read when that is done; each call another one. */
  address(): string;
}

/** What a transport must do whose writer and reader do not meet: a file, or a command that keeps what it gets. */
export function storeCompliance(name: string, { transport, address }: StoreSetup): void {
  async function read(uri: string): Promise<Uint8Array> {
    const listener = await transport.listen(uri);
    const channel = await listener.accept();
    const bytes = await readAll(channel);
    await channel.close();
    await listener.close();
    return bytes;
  }

  describe(`${name} store`, () => {
    it("keeps bytes whole and in order, however they are cut, also of sends that nobody waits for", async () => {
      const sizes = fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(sizes, fc.boolean(), async (lengths, waits) => {
          const uri = address();
          const channel = await transport.connect(uri);
          const chunks = lengths.map((length, i) => pattern(length, i + 1));
          const sends: Promise<void>[] = [];
          for (const chunk of chunks) {
            const send = channel.send(chunk);
            sends.push(send);
            if (waits) await send;
          }
          await channel.close();
          await Promise.all(sends);
          expect(Buffer.compare(await read(uri), concat(chunks))).toBe(0);
        }),
        { seed: 20_261_121, numRuns: 15 },
      );
    });

    it.each([
      ["buffer", new Uint8Array(300_000)],
      ["Buffer, whose slice is a view,", Buffer.alloc(300_000)],
    ])("lets the sender use its %s again once send has resolved", async (_, buffer) => {
      const uri = address();
      const channel = await transport.connect(uri);
      for (let i = 0; i < 20; i++) {
        buffer.fill(i + 1);
        await channel.send(buffer);
      }
      buffer.fill(0xff);
      await channel.close();
      const got = await read(uri);
      expect(got.length).toBe(20 * buffer.length);
      for (let i = 0; i < 20; i++) {
        expect(got.subarray(i * buffer.length, (i + 1) * buffer.length).every((byte) => byte === i + 1)).toBe(true);
      }
    });

    it("gives the reader plain chunks, and loses nothing when it leaves its loop and goes on", async () => {
      const uri = address();
      const channel = await transport.connect(uri);
      const sent = pattern(3_000_000);
      await channel.send(sent);
      await channel.close();
      const listener = await transport.listen(uri);
      const reading = await listener.accept();
      const first = await readExactly(reading, 1);
      const rest = await readAll(reading);
      expect(Object.getPrototypeOf(first)).toBe(Uint8Array.prototype);
      expect(rest.length).toBeGreaterThan(0);
      expect(Buffer.compare(concat([first, rest]), sent)).toBe(0);
      await reading.close();
      await listener.close();
    });

    it("refuses to send after close, and fails on abort with the error given", async () => {
      const closed = await transport.connect(address());
      await closed.close();
      expect(await codeOf(closed.send(Uint8Array.of(1)))).toBe("TRANSPORT_CLOSED");
      expect((await readAll(closed)).length).toBe(0);
      const aborted = await transport.connect(address());
      const reason = new Error("enough");
      const reading = readAll(aborted).catch((error: unknown) => error);
      await settle();
      aborted.abort(reason);
      expect(await reading).toBe(reason);
      expect(await aborted.send(Uint8Array.of(1)).catch((error: unknown) => error)).toBe(reason);
      await aborted.close();
    });

    it("has one reader: whoever accepts next waits, until the listener is closed", async () => {
      const uri = address();
      const channel = await transport.connect(uri);
      await channel.send(Uint8Array.of(1));
      await channel.close();
      const listener = await transport.listen(uri);
      const reading = await listener.accept();
      const second = codeOf(listener.accept());
      await listener.close();
      expect(await second).toBe("TRANSPORT_CLOSED");
      expect(Array.from(await readAll(reading))).toEqual([1]);
      await reading.close();
      expect(await codeOf(transport.connect("carrier-pigeon:coop"))).toBe("TRANSPORT_UNSUPPORTED");
      expect(await codeOf(transport.listen("carrier-pigeon:coop"))).toBe("TRANSPORT_UNSUPPORTED");
    });
  });
}

/** Where no reset overtakes, a first send may still go out to a peer that is no more. */
async function sendUntilItFails(channel: Channel): Promise<void> {
  for (let i = 0; i < 500; i++) {
    await channel.send(Uint8Array.of(1));
    await settle(2);
  }
}

function readExactlyOrNothing(channel: Channel, chunks: readonly Uint8Array[]): Promise<Uint8Array> {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return length === 0 ? Promise.resolve(new Uint8Array(0)) : readExactly(channel, length);
}

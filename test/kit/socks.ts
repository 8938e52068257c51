/** A SOCKS5 server on loopback (RFC 1928, RFC 1929): CONNECT alone, with or without user and password. It writes down whom it was asked for. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface TestSocks { readonly port: number; /** host:port, once per connection. */ readonly asked: string[]; /** Logins that were refused. */ refused: number; close(): Promise<void> }

export async function startSocks(login?: { readonly user: string; readonly password: string }): Promise<TestSocks> {
  const open = new Set<Socket>();
  const keep = (socket: Socket): void => { open.add(socket); socket.on("close", () => open.delete(socket)); socket.on("error", () => socket.destroy()); };
  const server = createServer((near) => {
    keep(near);
    void talk(near).catch(() => near.destroy());
  });

  async function talk(near: Socket): Promise<void> {
    const read = reader(near);
    const [, methods = 0] = await read(2);
    const offered = [...(await read(methods))];
    const method = login === undefined ? 0 : 2;
    if (!offered.includes(method)) { near.end(Buffer.from([5, 0xff])); return; }
    near.write(Buffer.from([5, method]));
    if (login !== undefined) {
      const [, userLength = 0] = await read(2);
      const user = (await read(userLength)).toString();
      const password = (await read((await read(1))[0] ?? 0)).toString();
      const right = user === login.user && password === login.password;
      if (!right) { socks.refused++; near.end(Buffer.from([1, 1])); return; }
      near.write(Buffer.from([1, 0]));
    }
    const [, , , type] = await read(4);
    const host = type === 1 ? [...(await read(4))].join(".") : type === 3 ? (await read((await read(1))[0] ?? 0)).toString() : ((await read(16)).toString("hex").match(/.{4}/g) ?? []).join(":");
    const port = (await read(2)).readUInt16BE();
    socks.asked.push(`${host}:${port}`);
    const far = connect(port, host, () => {
      near.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
      read.rest((bytes) => far.write(bytes));
      near.pipe(far);
      far.pipe(near);
    });
    keep(far);
    far.on("close", () => near.destroy());
    near.on("close", () => far.destroy());
  }

  await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
  const socks: TestSocks = {
    port: (server.address() as AddressInfo).port, asked: [], refused: 0,
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise((done) => { server.close(done); });
    },
  };
  return socks;
}

/** Reads exactly so many bytes; `rest` hands over what came beyond them. */
function reader(socket: Socket): ((length: number) => Promise<Buffer>) & { rest(take: (bytes: Buffer) => void): void } {
  let held = Buffer.alloc(0);
  let wake: (() => void) | undefined;
  const collect = (bytes: Buffer): void => { held = Buffer.concat([held, bytes]); wake?.(); };
  socket.on("data", collect);
  socket.on("close", () => wake?.());
  async function read(length: number): Promise<Buffer> {
    while (held.length < length) {
      if (socket.destroyed) throw new Error("closed");
      await new Promise<void>((resolve) => { wake = resolve; });
    }
    const bytes = held.subarray(0, length);
    held = held.subarray(length);
    return bytes;
  }
  return Object.assign(read, {
    rest(take: (bytes: Buffer) => void): void {
      socket.off("data", collect);
      if (held.length > 0) take(held);
    },
  });
}

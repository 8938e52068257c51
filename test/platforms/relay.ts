/** A door in front of a server whose links can be cut: what a router does that forgets its connections. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export interface Relay { readonly port: number; /** Clients that are linked now. */ links(): readonly Socket[]; /** How often one came. */ opened(): number; /** Ends all links. */ cut(): void; close(): Promise<void> }

export async function startRelay(to: number): Promise<Relay> {
  const open = new Set<Socket>();
  const clients = new Set<Socket>();
  let opened = 0;
  const server = createServer((near) => {
    opened++;
    clients.add(near);
    near.on("close", () => clients.delete(near));
    const far = connect(to, "127.0.0.1");
    for (const each of [near, far]) { open.add(each); each.on("close", () => { open.delete(each); near.destroy(); far.destroy(); }); each.on("error", () => { /* A close follows. */ }); }
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise<void>((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  const cut = (): void => { for (const each of open) each.destroy(); };
  return { port: (server.address() as AddressInfo).port, links: () => [...clients], opened: () => opened, cut, async close() { cut(); await new Promise((resolve) => { server.close(resolve); }); } };
}

/** What is used of imapflow's own way through a proxy, which brings no types. */
declare module "imapflow/lib/proxy-connection.js" {
  import type { Socket } from "node:net";
  interface Logger { info(entry: unknown): void; error(entry: unknown): void }
  /** Resolves to a socket that stands; throws what the proxy or the network says. */
  export function proxyConnection(logger: Logger, proxy: string, host: string, port: number): Promise<Socket>;
}

/** Every view: the same for the command line, the library and evidence packages. */
export { bpf } from "./bpf.ts";
export { cgroups } from "./cgroups.ts";
export { dmesg } from "./dmesg.ts";
export { files } from "./files.ts";
export { idt } from "./idt.ts";
export { maps } from "./maps.ts";
export { modules } from "./modules.ts";
export { mounts } from "./mounts.ts";
export { netdevs } from "./netdevs.ts";
export { netfilter } from "./netfilter.ts";
export { packetHandlers } from "./packet-handlers.ts";
export { pagecache } from "./pagecache.ts";
export { ps } from "./ps.ts";
export { sockets } from "./sockets.ts";
export { symbols } from "./symbols.ts";
export { syscalls } from "./syscalls.ts";
export { threads } from "./threads.ts";

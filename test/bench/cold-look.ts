// Run in a process of its own: what the first look at a guest costs before anything is warm.
// Arguments: pid of the guest's QEMU, and a folder for the cache or nothing.
import { openKernel } from "../../src/linux/discovery/open-kernel.ts";
import { FileSymbolCache } from "../../src/vm/decode-cache.ts";
import { openGuestRam } from "../../src/vm/guest-ram.ts";
import { qemuProcess } from "../../src/vm/qemu-process.ts";

const [pid, folder] = process.argv.slice(2);
const qemu = qemuProcess(Number(pid));
if (qemu === undefined) throw new Error(`no QEMU with pid ${pid}`);
const start = performance.now();
using memory = openGuestRam(qemu);
openKernel(memory, folder === undefined ? {} : { cache: new FileSymbolCache(folder) });
const milliseconds = performance.now() - start;
process.stdout.write(JSON.stringify({ milliseconds, rss: process.memoryUsage().rss }));

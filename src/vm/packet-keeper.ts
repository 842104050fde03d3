import { setTimeout as sleep } from "node:timers/promises";
import { tryLockFile } from "../native/file-lock.ts";
import { openHome } from "./home.ts";
import type { Home } from "./home.ts";
import { packetKeeperLock, vmsWithPackets } from "./packet-keeping.ts";
import { tendPackets } from "./packet-switch.ts";

const LOOK_MS = 250;
/** Who switches them on writes it down before asking whether somebody is here. */
const IDLE_LOOKS = 8;

// This file is the program that keeps packets within their bounds, for all VMs of a home.
await keep(openHome({ KVMSEC_HOME: process.argv[2] }));

async function keep(home: Home): Promise<void> {
  for (;;) {
    {
      using lock = tryLockFile(packetKeeperLock(home.root));
      if (lock === undefined) return;
      await untilIdle(home);
    }
    // Somebody may have come while the lock was still held.
    if (vmsWithPackets(home).length === 0) return;
  }
}

async function untilIdle(home: Home): Promise<void> {
  for (let idle = 0; idle < IDLE_LOOKS; await sleep(LOOK_MS)) {
    const names = vmsWithPackets(home);
    idle = names.length === 0 ? idle + 1 : 0;
    for (const name of names) {
      // A monitor that is held, a guest that ends, a full disk: the next look tries again.
      await tendPackets(home, name).catch(() => {});
    }
  }
}

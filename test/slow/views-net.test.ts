import { test } from "node:test";
import { parseKernel } from "../vm/harness/guest-matrix.ts";
import { compareNetViews } from "../vm/net-views/all.ts";

const kernels = [
  "bullseye/cloud",
  "bookworm/cloud",
  "trixie/cloud",
  "trixie/rt",
  "trixie-backports/cloud",
  "sid/cloud",
];
const cpus = { 4: "max,la57=off,cx16=off", 5: "max,cx16=off" };

for (const kernel of kernels) {
  for (const [levels, cpu] of Object.entries(cpus)) {
    test(`views of network and mounts: ${kernel}, ${levels}-level paging`, (t) =>
      compareNetViews(t, { wish: parseKernel(kernel), cpus: 2, cpu }));
  }
}

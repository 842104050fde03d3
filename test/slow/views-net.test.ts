import { test } from "node:test";
import { compareNetViews } from "../vm/net-views/all.ts";

const releases = ["bullseye", "bookworm", "trixie", "trixie-backports", "sid"];
const cpus = { 4: "max,la57=off,cx16=off", 5: "max,cx16=off" };

for (const release of releases) {
  for (const [levels, cpu] of Object.entries(cpus)) {
    test(`views of network and mounts: ${release}, ${levels}-level paging`, (t) =>
      compareNetViews(t, { wish: { release, flavour: "cloud" }, cpus: 2, cpu }));
  }
}

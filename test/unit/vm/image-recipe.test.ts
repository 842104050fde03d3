import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  defaultImageName,
  imageRecipe,
  recipeKey,
  wantedPackages,
} from "../../../src/vm/image-recipe.ts";
import { parseArchives, parseSettings } from "../../../src/vm/image-mirror.ts";
import { explainFailure, mmdebstrapArguments } from "../../../src/vm/image-root.ts";
import { TemporaryFolder } from "../../fixtures/temporary.ts";
import { checkedName } from "../../../src/vm/name.ts";

test("one recipe, one key: the order and repetition of packages do not matter, all else does", () => {
  const base = imageRecipe("debian", { packages: ["strace", "htop"] });
  assert.equal(
    recipeKey(base),
    recipeKey(imageRecipe("debian", { packages: ["htop", "strace", "htop"] })),
  );
  const others = [
    imageRecipe("debian"),
    imageRecipe("debian", { packages: ["strace"] }),
    imageRecipe("debian", { packages: ["strace", "htop"], release: "trixie" }),
    imageRecipe("debian", { packages: ["strace", "htop"], kernel: "generic" }),
    imageRecipe("debian", { packages: ["strace", "htop"], size: 8 * 2 ** 30 }),
  ];
  const keys = new Set([base, ...others].map(recipeKey));
  assert.equal(keys.size, others.length + 1);
});

test("what cannot be built is refused before anything is done", () => {
  const wrong: [string, object][] = [
    ["fedora", {}],
    ["debian", { release: "../bookworm" }],
    ["debian", { release: "bookworm main" }],
    ["debian", { kernel: "rt; rm -rf /" }],
    ["debian", { packages: ["--option"] }],
    ["debian", { packages: ["a b"] }],
    ["debian", { size: 1024 }],
  ];
  for (const [distribution, options] of wrong) {
    assert.throws(() => imageRecipe(distribution, options), {
      code: "KVMSEC_IMAGE_RECIPE",
      exit: 2,
    });
  }
});

test("default names are names, and tell recipes apart", () => {
  const names = [
    imageRecipe("debian"),
    imageRecipe("debian", { kernel: "generic" }),
    imageRecipe("debian", { release: "trixie-backports" }),
    imageRecipe("debian", { packages: ["htop"] }),
    imageRecipe("debian", { packages: ["strace"] }),
    imageRecipe("debian", { kernel: "linux-image-6.1.0-56-cloud-amd64-unsigned" }),
  ].map(defaultImageName);
  assert.equal(names[0], "debian-bookworm-cloud");
  assert.equal(new Set(names).size, names.length);
  for (const name of names) checkedName(name);
});

test("a backports image takes its kernel from there and the rest from the release", () => {
  const recipe = imageRecipe("debian", { release: "bookworm-backports" });
  assert.ok(wantedPackages(recipe).includes("linux-image-cloud-amd64/bookworm-backports"));
  const args = mmdebstrapArguments(recipe, "/x/root.tar", {
    sources: [{ uri: "http://a/", suite: "s" }],
    aptSettings: [],
  });
  assert.deepEqual(args.slice(-3), ["bookworm", "/x/root.tar", "deb http://a/ s main"]);
  assert.ok(!args.some((arg) => arg.startsWith("--keyring")), "the host's apt has its own keys");
  const elsewhere = { sources: [], aptSettings: [], keyring: "/keys.gpg" };
  const foreign = mmdebstrapArguments(recipe, "/x/root.tar", elsewhere);
  assert.ok(foreign.includes("--keyring=/keys.gpg"));
});

/** What mmdebstrap runs before it fetches anything, on a host without a Debian archive. */
const setupHooks = (release: string): string[] =>
  mmdebstrapArguments(imageRecipe("debian", { release }), "/x/root.tar", {
    sources: [],
    aptSettings: [],
  })
    .filter((word) => word.startsWith("--setup-hook="))
    .map((word) => word.slice("--setup-hook=".length));

test("on a host without a Debian archive the backports come from where mmdebstrap goes", () => {
  using root = new TemporaryFolder();
  const file = join(root.path, "etc/apt/sources.list");
  for (const folder of ["etc/apt", "tmp"]) mkdirSync(join(root.path, folder), { recursive: true });
  const lines = [
    'deb [signed-by="/keys.gpg"] http://archive.example/one bookworm main',
    'deb [signed-by="/keys.gpg"] http://archive.example/one bookworm-updates main',
    "",
  ];
  writeFileSync(file, lines.join("\n"));
  assert.deepEqual(setupHooks("bookworm"), []);
  const [hook] = setupHooks("bookworm-backports");
  execFileSync("sh", ["-c", hook ?? "", "sh", root.path]);
  assert.equal(
    readFileSync(file, "utf8"),
    `${lines.join("\n")}${lines[0]!.replace("bookworm", "bookworm-backports")}\n`,
  );
});

test("the host's archives are told from those of others", () => {
  const text = [
    "Debian|Debian|http://archive.example/one/",
    "Debian-Security|Debian|http://archive.example/two/",
    "cloud-sdk|cloud-sdk|http://archive.example/four/",
    "Ubuntu|Ubuntu|http://archive.example/three/",
    "",
  ].join("\n");
  assert.deepEqual(parseArchives(text), [
    { label: "Debian", uri: "http://archive.example/one/" },
    { label: "Debian-Security", uri: "http://archive.example/two/" },
  ]);
});

test("mmdebstrap's last words become an error that says what to do", () => {
  const recipe = imageRecipe("debian");
  const said: [string, string][] = [
    ["E: Unable to locate package nosuch", "KVMSEC_IMAGE_PACKAGE"],
    ["W: GPG error: x InRelease: NO_PUBKEY 0E98404D386FA1D9", "KVMSEC_IMAGE_KEYRING"],
    ["E: The repository 'x' does not have a Release file.", "KVMSEC_IMAGE_RELEASE"],
    [
      "E: Failed to fetch http://a/pool/l/linux_1_amd64.deb  404  Not Found [IP: ::1 80]",
      "KVMSEC_IMAGE_ARCHIVE",
    ],
    [
      "E: Release file for http://a/InRelease is expired (invalid since 15d).",
      "KVMSEC_IMAGE_ARCHIVE",
    ],
    ["E: Failed to fetch x  Temporary failure resolving 'y'", "KVMSEC_IMAGE_NETWORK"],
    ["dpkg: error: No space left on device", "KVMSEC_HOST_DISK"],
    ["E: invalid /etc/subuid: no entry", "KVMSEC_IMAGE_PRIVILEGE"],
    ["E: unshare() failed: Operation not permitted", "KVMSEC_IMAGE_PRIVILEGE"],
    ["E: something new", "KVMSEC_IMAGE_BUILD_FAILED"],
    ["I: automatically chosen mode: unshare\nE: something new", "KVMSEC_IMAGE_BUILD_FAILED"],
    ["", "KVMSEC_IMAGE_BUILD_FAILED"],
  ];
  for (const [stderr, code] of said)
    assert.equal(explainFailure(stderr, recipe, "/log").code, code);
  assert.match(
    explainFailure(said[0]![0], recipe, "/log").message,
    /bookworm has no package nosuch/,
  );
  // No subordinate ids would help where the kernel forbids it.
  assert.match(
    explainFailure("E: unshare syscall failed: Operation not permitted", recipe, "/log").hint ?? "",
    /apparmor_restrict_unprivileged_userns/,
  );
  const hook =
    "sh: 10: tool: not found\nE: setup failed: E: command failed\nE: mmdebstrap failed to run";
  assert.match(
    explainFailure(hook, recipe, "/log").message,
    /setup failed.*\(after: sh: 10: tool: not found\)/,
  );
});

test("how the host fetches is taken over, what else it set is not, and nothing ends a line early", () => {
  const taken = [
    'Acquire::http::Proxy "http://proxy.example:3142/";',
    'Acquire::https::Proxy::archive.example "DIRECT";',
    'Acquire::Retries "3";',
    'Acquire::Check-Valid-Until "false";',
  ];
  const left = [
    'Acquire::Languages "none";',
    'Acquire::http::User-Agent "x";',
    'APT::Install-Recommends "true";',
    'Acquire::http::Proxy "a"; DPkg::Pre-Invoke "b";',
    "",
  ];
  assert.deepEqual(parseSettings([...taken, ...left].join("\n")), taken);
});

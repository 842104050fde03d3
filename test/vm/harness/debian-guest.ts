import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { goldenImage } from "../golden-image.ts";
import { command } from "./command.ts";
import { kernel } from "./debian-kernel.ts";
import type { Flavour, Release } from "./debian-kernel.ts";
import { bootTiny } from "./guest.ts";
import type { Guest, GuestOptions } from "./guest.ts";

const GIB = 2 ** 30;

export type DebianOptions = Partial<GuestOptions> & {
  readonly release: Release;
  readonly flavour?: Flavour;
  readonly packages: readonly string[];
};

export type DebianGuest = { readonly guest: Guest } & AsyncDisposable;

/**
 * A whole Debian with systemd and packages of its own, on a throwaway layer over a golden image
 * that is built once. The kernel is the harness's, which is the release's own.
 */
export async function bootDebian(options: DebianOptions): Promise<DebianGuest> {
  const { release, flavour = "cloud", packages, ...rest } = options;
  const { image } = await goldenImage({ release, kernel: flavour, packages, size: 6 * GIB });
  const home = mkdtempSync(join(tmpdir(), "kvmsec-debian-"));
  const disk = join(home, "disk.qcow2");
  const remove = (): void => rmSync(home, { recursive: true, force: true });
  try {
    const base = ["-f", "qcow2", "-b", image.disk, "-F", "qcow2"];
    await command("qemu-img", ["create", "-q", ...base, disk]);
    const guest = await bootTiny({
      memory: "1G",
      bootTimeout: 600_000,
      ...rest,
      kernel: await kernel({ release, flavour }),
      modules: ["ext4"],
      disks: [{ file: disk, format: "qcow2" }],
      rootDisk: "/dev/vda",
    });
    const end = async (): Promise<void> => {
      await guest[Symbol.asyncDispose]();
      remove();
    };
    return { guest, [Symbol.asyncDispose]: end };
  } catch (error) {
    remove();
    throw error;
  }
}

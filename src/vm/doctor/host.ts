import { existsSync, readFileSync } from "node:fs";
import { release, userInfo } from "node:os";
import type { Host } from "./check.ts";

/** Who asks, and on what kind of system. */
export function thisHost(qemu = "qemu-system-x86_64"): Host {
  return {
    root: process.geteuid?.() === 0,
    user: userName(),
    apt: existsSync("/usr/bin/apt-get"),
    qemu,
    environment: process.env,
  };
}

/** A user without a line in /etc/passwd has only a number. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.geteuid?.() ?? "?");
  }
}

/** The distribution as it calls itself, and its kernel. */
export function hostSystem(): { readonly distribution: string; readonly kernel: string } {
  return { distribution: distribution(), kernel: release() };
}

function distribution(): string {
  try {
    const text = readFileSync("/etc/os-release", "utf8");
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(text)?.[1] ?? "unknown";
  } catch {
    return "unknown";
  }
}

import { readFileSync } from "node:fs";

/**
 * How fast this host's time-stamp counter runs, in kHz, or undefined where nothing tells.
 *
 * A microvm under TCG has no timer to measure the counter by (its ACPI is hardware-reduced: no PIT,
 * no HPET, no PM timer), so its kernel has to be told, or it hangs before its first tick. TCG's
 * counter is the host's own. The nominal clock is what invariant counters run at.
 */
export function timeStampKhz(
  read: (path: string) => string | undefined = readIfThere,
): number | undefined {
  const cpu = "/sys/devices/system/cpu/cpu0";
  const nominalMhz = Number(read(`${cpu}/acpi_cppc/nominal_freq`) ?? Number.NaN);
  if (nominalMhz > 0) return nominalMhz * 1000;
  const baseKhz = Number(read(`${cpu}/cpufreq/base_frequency`) ?? Number.NaN);
  if (baseKhz > 0) return baseKhz;
  const cpuinfo = read("/proc/cpuinfo") ?? "";
  const named = /^model name\s*:.*@ ([\d.]+)GHz/m.exec(cpuinfo)?.[1];
  if (named !== undefined) return Math.round(Number(named) * 1_000_000);
  const present = /^cpu MHz\s*:\s*([\d.]+)/m.exec(cpuinfo)?.[1];
  return present === undefined ? undefined : Math.round(Number(present) * 1000);
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

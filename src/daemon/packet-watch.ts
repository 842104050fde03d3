import { KvmsecError } from "../base/errors.ts";
import { matches } from "../policy/decide.ts";
import { listVms } from "../vm/guest-vm.ts";
import type { GuestVm } from "../vm/guest-vm.ts";
import { startPacketKeeper, vmsWithPackets } from "../vm/packet-keeping.ts";
import { guardPackets } from "../vm/packet-switch.ts";
import type { GuardContext } from "./guard-context.ts";

/**
 * Has the packets of VMs kept as the configuration wants it, besides what their owners want, and sees
 * to it that the process lives that keeps all of them within their bounds. They are written by QEMU:
 * nothing is missed while no guard runs.
 */
export class PacketWatch {
  readonly #context: GuardContext;
  readonly #onTrouble: (text: string) => void;
  readonly #told = new Set<string>();
  #busy = false;

  constructor(context: GuardContext, onTrouble: (text: string) => void) {
    this.#context = context;
    this.#onTrouble = onTrouble;
  }

  /** To be called now and then. Never rejects. */
  async look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      const { home, config } = this.#context;
      const kept = vmsWithPackets(home);
      if (kept.length > 0) startPacketKeeper(home.root);
      if (kept.length === 0 && config.packets.length === 0) return;
      // That one is damaged is told by who looks for guests.
      const vms = listVms(home, () => {});
      for (const vm of vms) if (vm.run !== undefined) await this.#settle(vm);
    } catch (error) {
      this.#trouble(`packets cannot be looked after: ${String(error)}`);
    } finally {
      this.#busy = false;
    }
  }

  async #settle({ name, config: vm, packets }: GuestVm): Promise<void> {
    const { home, config, tell } = this.#context;
    if (packets.by === "owner" || vm.network === "none") return;
    const keepBytes = config.packets.find(({ guests }) => matches(guests, name))?.keep;
    if ((packets.on ? packets.keepBytes : undefined) === keepBytes) return;
    try {
      const done = await guardPackets(home, name, keepBytes);
      if (done)
        tell("packets", { name }, { on: keepBytes !== undefined, keepBytes: keepBytes ?? null });
    } catch (error) {
      if (!(error instanceof KvmsecError)) throw error;
      this.#trouble(`the packets of ${name}: ${error.code}: ${error.message}`);
    }
  }

  #trouble(text: string): void {
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.#onTrouble(text);
  }
}

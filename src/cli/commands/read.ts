import { exitStatus, usageError } from "../../base/errors.ts";
import type { ExitStatus } from "../../base/errors.ts";
import { hexBytes } from "../../base/hex.ts";
import { readAround } from "../../linux/memory-reading.ts";
import type { MemoryReading } from "../../linux/memory-reading.ts";
import { placeToRead } from "../../views/read.ts";
import type { Place, PlaceOptions } from "../../views/read.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { hexDump } from "../hex-dump.ts";
import { parseNumber } from "../number-option.ts";
import { pidOption } from "../pid-option.ts";
import { write, writeDocument } from "../output.ts";
import { attachWith, documentHead, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";

type Options = ViewOptions & PlaceOptions & { readonly raw?: boolean };

const DEFAULT_LENGTH = 256;
const MAX_LENGTH = 2 ** 30;

/** `kvmsec read`: bytes of the guest's memory. */
export const define: CommandModule["define"] = (command, io) => {
  targetArgument(command)
    .argument("<address>", "0x…, a symbol, symbol+0x10, or module:symbol")
    .argument("[length]", "bytes; a symbol's size unless told, at most 256", parseNumber)
    .option("--physical", "a guest-physical address")
    .addOption(pidOption())
    .option("--raw", "the bytes themselves, up to the first that cannot be read")
    .option("--json", "one JSON document")
    .action(
      async (target: string, address: string, length: number | undefined, options: Options) => {
        using guest = await attachWith(target, options);
        const place = placeToRead(guest.kernel, address, options);
        const wanted = length ?? Math.min(place.size || DEFAULT_LENGTH, DEFAULT_LENGTH);
        if (wanted > MAX_LENGTH) {
          throw usageError("KVMSEC_READ_TOO_LONG", "At most 1 GiB is read at once.");
        }
        const reading = readAround(place.copy, place.address, wanted);
        if (options.raw === true) await writeRaw(io, reading);
        else if (options.json === true) {
          const head = documentHead(guest);
          await writeDocument(io, "kvmsec.read/1", { ...head, ...json(place, reading) });
        } else {
          const lines = hexDump(reading, (offset) => digits(place.format(place.address + offset)));
          await write(io.stdout, lines.map((line) => `${line}\n`).join(""));
        }
        io.exit(report(io, place, reading));
      },
    );
};

function digits(address: string): string {
  return address.replace("0x", "").padStart(16, "0");
}

/** What follows an unreadable byte would stand at the wrong place, so nothing does. */
async function writeRaw(io: CommandIo, { bytes, missing }: MemoryReading): Promise<void> {
  const whole = bytes.subarray(0, missing[0]?.offset ?? bytes.length);
  await new Promise<void>((resolve) => io.stdout.write(whole, () => resolve()));
}

/** Readable stretches as hexadecimal, unreadable ones by name: never as zeros. */
function json(place: Place, { bytes, missing }: MemoryReading): object {
  const readable: object[] = [];
  let at = 0;
  for (const gap of [...missing, { offset: bytes.length, length: 0 }]) {
    if (gap.offset > at) {
      const address = place.format(place.address + at);
      readable.push({ address, bytes: hexBytes(bytes.subarray(at, gap.offset)) });
    }
    at = gap.offset + gap.length;
  }
  return {
    address: place.format(place.address),
    length: bytes.length,
    readable,
    unreadable: missing.map(({ offset, length }) => ({
      address: place.format(place.address + offset),
      length,
    })),
  };
}

function report(io: CommandIo, place: Place, { bytes, missing }: MemoryReading): ExitStatus {
  if (missing.length === 0) return exitStatus.clean;
  const lost = missing.reduce((sum, { length }) => sum + length, 0);
  const first = place.format(place.address + missing[0].offset);
  io.stderr.write(
    `kvmsec: ${lost} of ${bytes.length} bytes are not there, the first at ${first}\n`,
  );
  return lost === bytes.length ? exitStatus.unobservable : exitStatus.partial;
}

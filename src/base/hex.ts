/** A 64-bit value as `"0xffff…"`, never negative. */
export function hex(value: number | bigint): string {
  if (typeof value === "number" && Number.isNaN(value)) return "fault";
  return "0x" + BigInt.asUintN(64, BigInt(value)).toString(16);
}

/** Bytes as lower-case pairs without separators. */
export function hexBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

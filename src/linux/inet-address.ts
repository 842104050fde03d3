/** An IPv4 address from its four bytes. */
export function inet4Text(bytes: Uint8Array): string {
  return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
}

/** An IPv6 address from its sixteen bytes, as inet_ntop writes it (RFC 5952). */
export function inet6Text(bytes: Uint8Array): string {
  const words = Array.from({ length: 8 }, (_, i) => bytes[i * 2]! * 256 + bytes[i * 2 + 1]!);
  const embedded = embeddedInet4(words);
  const text = (from: number, to: number): string[] =>
    words.slice(from, to).map((word) => word.toString(16));
  const tail = embedded ? [inet4Text(bytes.subarray(12, 16))] : text(6, 8);
  const gap = longestZeros(embedded ? words.slice(0, 6) : words);
  const end = embedded ? 6 : 8;
  if (gap === undefined) return [...text(0, 6), ...tail].join(":");
  const before = text(0, gap.start);
  const after = gap.end >= end ? [] : text(gap.end, end);
  if (embedded) after.push(...tail);
  return `${before.join(":")}::${after.join(":")}`;
}

/** `::ffff:a.b.c.d`, and `::a.b.c.d` where neither of its words is zero. */
function embeddedInet4(words: readonly number[]): boolean {
  if (words.slice(0, 5).some((word) => word !== 0)) return false;
  return words[5] === 0xffff || (words[5] === 0 && words[6] !== 0);
}

/** The first longest run of two or more zero words. */
function longestZeros(words: readonly number[]): { start: number; end: number } | undefined {
  let best: { start: number; end: number } | undefined;
  for (let start = 0; start < words.length; start++) {
    let end = start;
    while (end < words.length && words[end] === 0) end++;
    if (end - start > (best === undefined ? 1 : best.end - best.start)) best = { start, end };
    if (end > start) start = end;
  }
  return best;
}

import { inflateSync, zstdDecompressSync } from "node:zlib";
import {
  DUMP_DH_COMPRESSED_LZO,
  DUMP_DH_COMPRESSED_SNAPPY,
  DUMP_DH_COMPRESSED_ZLIB,
  DUMP_DH_COMPRESSED_ZSTD,
} from "../formats/kdump.ts";
import { lzo1xDecompress } from "../formats/lzo1x.ts";
import { snappyDecompress } from "../formats/snappy.ts";

const CODECS =
  DUMP_DH_COMPRESSED_ZLIB |
  DUMP_DH_COMPRESSED_LZO |
  DUMP_DH_COMPRESSED_SNAPPY |
  DUMP_DH_COMPRESSED_ZSTD;

/**
 * Decodes one page as a kdump descriptor's flags say. False where the data is damaged or does
 * not give exactly one page. Never throws.
 */
export function decodePage(flags: number, data: Uint8Array, page: Uint8Array): boolean {
  switch (flags & CODECS) {
    case 0:
      if (data.length !== page.length) return false;
      page.set(data);
      return true;
    case DUMP_DH_COMPRESSED_ZLIB:
      return decodeWith(inflateSync, data, page);
    case DUMP_DH_COMPRESSED_ZSTD:
      return decodeWith(zstdDecompressSync, data, page);
    case DUMP_DH_COMPRESSED_LZO:
      return lzo1xDecompress(data, 0, data.length, page) === page.length;
    case DUMP_DH_COMPRESSED_SNAPPY:
      return snappyDecompress(data, 0, data.length, page) === page.length;
    default:
      return false;
  }
}

type Decoder = (
  data: Uint8Array,
  options: { maxOutputLength: number; chunkSize: number },
) => Uint8Array;

function decodeWith(decode: Decoder, data: Uint8Array, page: Uint8Array): boolean {
  try {
    // maxOutputLength: a page of hostile data must not unfold into gigabytes.
    const decoded = decode(data, { maxOutputLength: page.length, chunkSize: page.length });
    if (decoded.length !== page.length) return false;
    page.set(decoded);
    return true;
  } catch {
    return false;
  }
}

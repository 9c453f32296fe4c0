import { ByteReader, malformed } from './byte-reader.ts'

/** Refuses a fixed header whose lower four bits are not those of its packet (MQTT 5 section 2.1.3). */
export function checkFlags(first: number, flags: number): void {
  if ((first & 15) !== flags) throw malformed('the flags of the fixed header are not those of this packet')
}

/** The user property whose identifier is at `start`. */
export function pairAt(bytes: Buffer, start: number, end: number): [string, string] {
  const reader = new ByteReader(bytes, start + 1, end)
  return [reader.string(), reader.string()]
}

export function packetIdentifier(reader: ByteReader): number {
  const packetId = reader.uint16()
  if (packetId === 0) throw malformed('a packet has packet identifier 0')
  return packetId
}

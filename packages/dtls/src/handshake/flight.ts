import { CONTENT, RECORD_HEADER } from '../records/record.ts'
import type { RecordLayer } from '../records/record-layer.ts'
import { type HandshakeMessage, MESSAGE_HEADER, messageHeader } from './message.ts'

/** A message of a flight, or the change to epoch 1. What follows that change is protected. */
export type FlightPart = (HandshakeMessage & { readonly sequence: number }) | 'change-cipher-spec'

/** Bytes of a datagram of the handshake: what IPv6 carries everywhere, less its headers. */
const HANDSHAKE_MTU = 1200

const CHANGE_CIPHER_SPEC = Uint8Array.of(1)
/** A smaller piece of a message waits for the next datagram. */
const LEAST_PIECE = 32

/** The datagrams of a flight, with record numbers that were not used before. */
export const flightDatagrams = (flight: readonly FlightPart[], records: RecordLayer, mtu: number = HANDSHAKE_MTU): Buffer[] => {
  const datagrams: Buffer[] = []
  let open: Buffer[] = []
  let size = 0
  const add = (record: Buffer): void => {
    if (size + record.length > mtu && open.length > 0) {
      datagrams.push(Buffer.concat(open))
      open = []
      size = 0
    }
    open.push(record)
    size += record.length
  }
  let isProtected = false
  for (const part of flight) {
    if (part === 'change-cipher-spec') {
      add(records.plain(CONTENT.CHANGE_CIPHER_SPEC, CHANGE_CIPHER_SPEC))
      isProtected = true
      continue
    }
    const { type, sequence, body } = part
    if (isProtected) {
      add(records.sealer!.seal(CONTENT.HANDSHAKE, Buffer.concat([messageHeader(type, body.length, sequence), body])))
      continue
    }
    let offset = 0
    do {
      const overhead = RECORD_HEADER + MESSAGE_HEADER
      const left = body.length - offset
      const free = mtu - size - overhead
      const piece = Math.min(left, free >= Math.min(left, LEAST_PIECE) ? free : mtu - overhead)
      const fragment = body.subarray(offset, offset + piece)
      add(records.plain(CONTENT.HANDSHAKE, Buffer.concat([messageHeader(type, body.length, sequence, offset, piece), fragment])))
      offset += piece
    } while (offset < body.length)
  }
  if (open.length > 0) datagrams.push(Buffer.concat(open))
  return datagrams
}

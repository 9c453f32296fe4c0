// The packets of MQTT 3.1, 3.1.1 and 5 as a test writes and reads them, apart from the codec under test.

export const PACKET = {
  CONNECT: 1,
  CONNACK: 2,
  PUBLISH: 3,
  PUBACK: 4,
  PUBREC: 5,
  PUBREL: 6,
  PUBCOMP: 7,
  SUBSCRIBE: 8,
  SUBACK: 9,
  UNSUBSCRIBE: 10,
  UNSUBACK: 11,
  PINGREQ: 12,
  PINGRESP: 13,
  DISCONNECT: 14
} as const

const u8 = (value: number): Buffer => Buffer.from([value])
const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255])
const u32 = (value: number): Buffer => Buffer.from([value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255])
const data = (bytes: Buffer): Buffer => Buffer.concat([u16(bytes.length), bytes])
const text = (value: string): Buffer => data(Buffer.from(value))

const variable = (value: number): Buffer => {
  const bytes: number[] = []
  let left = value
  do {
    const more = left >= 128
    bytes.push((left & 127) | (more ? 128 : 0))
    left >>= 7
  } while (left > 0)
  return Buffer.from(bytes)
}

const properties = (parts: readonly Buffer[]): Buffer => {
  const all = Buffer.concat(parts)
  return Buffer.concat([variable(all.length), all])
}

/** A packet of a first byte and its parts. */
const packet = (first: number, ...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  return Buffer.concat([u8(first), variable(body.length), body])
}

export interface Will {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  /** Seconds. */
  readonly delay: number
}

export interface Connect {
  /** 3 is MQTT 3.1. */
  readonly version: 3 | 4 | 5
  readonly clientId: string
  /** Empty for none. */
  readonly userName: string
  readonly clean: boolean
  /** Seconds; of MQTT 5. */
  readonly expiry: number
  readonly receiveMaximum: number
  readonly will: Will | null
}

export const connect = ({ version, clientId, userName, clean, expiry, receiveMaximum, will }: Connect): Buffer => {
  const flags = (userName === '' ? 0 : 128) | (clean ? 2 : 0) | (will === null ? 0 : 4 | (will.qos << 3) | (will.retain ? 32 : 0))
  const parts = [text(version === 3 ? 'MQIsdp' : 'MQTT'), u8(version), u8(flags), u16(0)]
  if (version === 5) parts.push(properties([u8(0x11), u32(expiry), u8(0x21), u16(receiveMaximum)]))
  parts.push(text(clientId))
  if (will !== null) {
    if (version === 5) parts.push(properties([u8(0x18), u32(will.delay)]))
    parts.push(text(will.topic), text(will.payload))
  }
  if (userName !== '') parts.push(text(userName))
  return packet(PACKET.CONNECT << 4, ...parts)
}

export interface Publish {
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
  readonly packetId: number
  /** Of MQTT 5; empty for none. */
  readonly responseTopic: string
  /** User property `method` of MQTT 5; empty for none. */
  readonly method: string
  /** Message expiry in seconds, of MQTT 5; 0 for none. */
  readonly expiry: number
}

export const publish = (version: number, message: Publish): Buffer => {
  const { topic, payload, qos, retain, dup, packetId, responseTopic, method, expiry } = message
  const parts = [text(topic)]
  if (qos > 0) parts.push(u16(packetId))
  if (version === 5) {
    const set: Buffer[] = []
    if (expiry > 0) set.push(u8(0x02), u32(expiry))
    if (responseTopic !== '') set.push(u8(0x08), text(responseTopic))
    if (method !== '') set.push(u8(0x26), text('method'), text(method))
    parts.push(properties(set))
  }
  parts.push(Buffer.from(payload))
  return packet((PACKET.PUBLISH << 4) | (dup ? 8 : 0) | (qos << 1) | (retain ? 1 : 0), ...parts)
}

export const acknowledge = (type: number, packetId: number): Buffer => packet((type << 4) | (type === PACKET.PUBREL ? 2 : 0), u16(packetId))

export interface Subscribe {
  readonly filter: string
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  readonly retainHandling: number
}

export const subscribe = (version: number, packetId: number, { filter, qos, noLocal, retainAsPublished, retainHandling }: Subscribe): Buffer => {
  const options = version === 5 ? qos | (noLocal ? 4 : 0) | (retainAsPublished ? 8 : 0) | (retainHandling << 4) : qos
  return packet((PACKET.SUBSCRIBE << 4) | 2, u16(packetId), version === 5 ? u8(0) : Buffer.alloc(0), text(filter), u8(options))
}

export const unsubscribe = (version: number, packetId: number, filter: string): Buffer =>
  packet((PACKET.UNSUBSCRIBE << 4) | 2, u16(packetId), version === 5 ? u8(0) : Buffer.alloc(0), text(filter))

/** `expiry` in seconds, of MQTT 5; -1 leaves it as it is. */
export const disconnect = (version: number, reasonCode: number, expiry: number): Buffer =>
  version < 5 ? packet(PACKET.DISCONNECT << 4) : packet(PACKET.DISCONNECT << 4, u8(reasonCode), properties(expiry < 0 ? [] : [u8(0x11), u32(expiry)]))

/** What came from the server. */
export interface Packet {
  readonly type: number
  readonly packetId: number
  /** The reason or return code; of SUBACK and UNSUBACK the first. */
  readonly code: number
  readonly sessionPresent: boolean
  readonly topic: string
  readonly payload: string
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
}

const EMPTY: Packet = { type: 0, packetId: 0, code: 0, sessionPresent: false, topic: '', payload: '', qos: 0, retain: false, dup: false }

/** Reads packets out of pieces of a stream. */
export class PacketReader {
  readonly #version: number
  #waiting: Buffer = Buffer.alloc(0)

  constructor(version: number) {
    this.#version = version
  }

  *read(chunk: Uint8Array): Generator<Packet> {
    this.#waiting = this.#waiting.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#waiting, chunk])
    for (;;) {
      const whole = this.#cut()
      if (whole === null) return
      yield this.#decode(whole.first, whole.body)
    }
  }

  #cut(): { first: number; body: Buffer } | null {
    const bytes = this.#waiting
    let [length, shift, at] = [0, 0, 1]
    for (;;) {
      const next = bytes[at++]
      if (next === undefined) return null
      length |= (next & 127) << shift
      shift += 7
      if (next < 128) break
    }
    if (bytes.length < at + length) return null
    this.#waiting = bytes.subarray(at + length)
    return { first: bytes[0] as number, body: bytes.subarray(at, at + length) }
  }

  #decode(first: number, body: Buffer): Packet {
    const type = first >> 4
    const five = this.#version === 5
    switch (type) {
      case PACKET.CONNACK:
        return { ...EMPTY, type, sessionPresent: (body[0] as number) === 1, code: body[1] as number }
      case PACKET.PUBLISH: {
        const qos = (first >> 1) & 3
        const end = 2 + body.readUInt16BE(0)
        const topic = body.toString('utf8', 2, end)
        let at = end + (qos > 0 ? 2 : 0)
        const packetId = qos > 0 ? body.readUInt16BE(end) : 0
        if (five) at = past(body, at)
        return { ...EMPTY, type, topic, packetId, qos, retain: (first & 1) === 1, dup: (first & 8) === 8, payload: body.toString('utf8', at) }
      }
      case PACKET.SUBACK:
      case PACKET.UNSUBACK:
        return { ...EMPTY, type, packetId: body.readUInt16BE(0), code: body[five ? past(body, 2) : 2] ?? 0 }
      case PACKET.DISCONNECT:
        return { ...EMPTY, type, code: body[0] ?? 0 }
      default:
        return body.length < 2 ? { ...EMPTY, type } : { ...EMPTY, type, packetId: body.readUInt16BE(0), code: body[2] ?? 0 }
    }
  }
}

/** Where the properties that begin at a place end. */
const past = (body: Buffer, start: number): number => {
  let [length, shift, at] = [0, 0, start]
  for (;;) {
    const next = body[at++] ?? 0
    length |= (next & 127) << shift
    shift += 7
    if (next < 128) return at + length
  }
}

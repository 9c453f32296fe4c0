import { crc32 } from 'node:zlib'
import { IopaError } from '@iopa/transport'
import type { StoredDelivery, StoredMessage, StoredSession, StoredWill, StoreRecord } from '../store.ts'

/*
 * Keys are `<letter>\0<client id or topic>[\0<rest>]`; a U+0000 or U+0001 within a part is escaped, so that parts cannot run into each
 * other. The sequence is 14 hexadecimal digits, so that the order of keys is the order of delivery.
 *
 * A value is one version byte, the CRC-32 of the key and of all that follows it, a 32-bit length, that many bytes of JSON, then the
 * payload and the properties of the message.
 */
const VERSION = 2
/** Without a checksum. */
const FIRST_VERSION = 1
const HEADER = 9
const LETTERS = { retained: 'r', session: 's', subscription: 'u', message: 'm', received: 'q' } as const
const NO_BYTES = new Uint8Array(0)
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** Message fields as they stand in the JSON part: the bytes follow it. */
type MessageHead = Omit<StoredMessage, 'payload' | 'properties'> & { readonly payload: number; readonly properties: number }

export const encodeKey = (record: StoreRecord): string => {
  const letter = LETTERS[record.kind]
  switch (record.kind) {
    case 'retained':
      return `${letter}\0${escaped(record.topic)}`
    case 'session':
      return `${letter}\0${escaped(record.clientId)}`
    case 'subscription':
      return `${letter}\0${escaped(record.clientId)}\0${escaped(record.filter)}`
    case 'message':
      return `${letter}\0${escaped(record.clientId)}\0${record.sequence.toString(16).padStart(14, '0')}`
    case 'received':
      return `${letter}\0${escaped(record.clientId)}\0${record.packetId}`
  }
}

const escaped = (part: string): string =>
  /[\0\x01]/.test(part) ? part.replace(/[\0\x01]/g, unit => (unit === '\0' ? '\x01\x01' : '\x01\x02')) : part

const plain = (part: string): string =>
  part.includes('\x01') ? part.replace(/\x01[\x01\x02]/g, unit => (unit === '\x01\x01' ? '\0' : '\x01')) : part

/** The keys that go when a session goes. */
export const ownedRanges = (clientId: string): { gte: string; lt: string }[] =>
  [LETTERS.subscription, LETTERS.message, LETTERS.received].map(letter => ({
    gte: `${letter}\0${escaped(clientId)}\0`,
    lt: `${letter}\0${escaped(clientId)}\x01`
  }))

/** The value under a key. */
export const encodeValue = (key: string, record: StoreRecord): Uint8Array => {
  const value = unsigned(record)
  if (value.length > 0) new DataView(value.buffer).setUint32(1, checksum(key, value))
  return value
}

const checksum = (key: string, value: Uint8Array): number => crc32(value.subarray(5), crc32(key))

const unsigned = (record: StoreRecord): Uint8Array => {
  switch (record.kind) {
    case 'retained':
      return record.value === null ? NO_BYTES : frame(headOf(record.value), record.value)
    case 'message': {
      if (record.value === null) return NO_BYTES
      return frame({ ...record.value, message: headOf(record.value.message) }, record.value.message)
    }
    case 'session': {
      const will = record.value?.will
      return frame(will ? { ...record.value, will: { ...will, message: headOf(will.message) } } : record.value, will?.message)
    }
    default:
      return frame(record.value)
  }
}

/** Keys under which damaged records are set aside. */
export const DAMAGED_PREFIX = 'x\0'

/** What a key names, for people. */
export const nameOf = (key: string): string => {
  const [letter, name = '', rest = ''] = key.split('\0').map(plain)
  const kind = Object.entries(LETTERS).find(([, value]) => value === letter)?.[0] ?? 'record'
  return `${kind} ${JSON.stringify(rest === '' || kind !== 'subscription' ? name : `${name} ${rest}`)}`
}

/** The record of a key and a value; null when they are damaged. @throws IopaError for those of another version */
export const decodeRecord = (key: string, value: Uint8Array): StoreRecord | null => {
  if (value[0] === FIRST_VERSION) throw unreadable(`version ${value[0]}`)
  if (value[0] !== VERSION || value.length < HEADER) return null
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  if (view.getUint32(1) !== checksum(key, value)) return null
  const [letter, name = '', rest = ''] = key.split('\0').map(plain)
  const end = HEADER + view.getUint32(5)
  const bytes = value.subarray(end)
  const head: unknown = JSON.parse(decoder.decode(value.subarray(HEADER, end)))
  switch (letter) {
    case LETTERS.retained:
      return { kind: 'retained', topic: name, value: messageOf(head as MessageHead, bytes) }
    case LETTERS.session: {
      const session = head as Omit<StoredSession, 'will'> & { will: (Omit<StoredWill, 'message'> & { message: MessageHead }) | null }
      const will = session.will && { ...session.will, message: messageOf(session.will.message, bytes) }
      return { kind: 'session', clientId: name, value: { ...session, will } }
    }
    case LETTERS.subscription:
      return { kind: 'subscription', clientId: name, filter: rest, value: head as never }
    case LETTERS.message: {
      const delivery = head as Omit<StoredDelivery, 'message'> & { message: MessageHead }
      return {
        kind: 'message',
        clientId: name,
        sequence: Number.parseInt(rest, 16),
        value: { ...delivery, message: messageOf(delivery.message, bytes) }
      }
    }
    case LETTERS.received:
      return { kind: 'received', clientId: name, packetId: Number(rest), value: head as never }
    default:
      throw unreadable(`key "${letter}"`)
  }
}

const headOf = (message: StoredMessage): MessageHead => ({ ...message, payload: message.payload.length, properties: message.properties.length })

/** Copies the bytes: the database hands out views (some of them Buffers, whose `slice` does not copy) of larger memory. */
const messageOf = (head: MessageHead, bytes: Uint8Array): StoredMessage => ({
  ...head,
  payload: new Uint8Array(bytes.subarray(0, head.payload)),
  properties: new Uint8Array(bytes.subarray(head.payload, head.payload + head.properties))
})

const frame = (head: unknown, message?: StoredMessage): Uint8Array => {
  const json = encoder.encode(JSON.stringify(head))
  const payload = message?.payload ?? NO_BYTES
  const properties = message?.properties ?? NO_BYTES
  const value = new Uint8Array(HEADER + json.length + payload.length + properties.length)
  value[0] = VERSION
  new DataView(value.buffer).setUint32(5, json.length)
  value.set(json, HEADER)
  value.set(payload, HEADER + json.length)
  value.set(properties, HEADER + json.length + payload.length)
  return value
}

const unreadable = (what: string): IopaError =>
  new IopaError(
    500,
    'store-unreadable',
    `The store was written by another version of this package (${what}): start with an empty folder, or with the version that wrote it.`
  )

// Shared by hostile-input and unresponsive-peers: the house on every port, bare peers, and a check for leaks.
import dgram from 'node:dgram'
import { readdirSync } from 'node:fs'
import net from 'node:net'
import type { App, AppOptions, Limits, Transport } from '@iopa/appbuilder'
import { type CoapListener, coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { mqtt } from '@iopa/mqtt'
import { tcp } from '@iopa/tcp'
import { parseUrl } from '@iopa/transport'
import { udp } from '@iopa/udp'

/** By its path, for an app of examples has inferred types. */
const HOME = new URL('../examples/home/home.ts', import.meta.url).pathname

export interface Ports {
  readonly http: number
  readonly coap: number
  readonly coapTcp: number
  readonly mqtt: number
  readonly tcp: number
  readonly udp: number
}

/** The house of the example on every port, and what it says of itself. */
export interface House {
  readonly app: App
  readonly ports: Ports
  /** What was logged as an error, and not taken out: the faults of peers are none. */
  readonly errors: unknown[][]
  /** Errors that nobody caught. */
  readonly uncaught: readonly unknown[]
  /** Closes it, and throws unless nothing of it is left. */
  close(): Promise<void>
}

/** Descriptors of this process; 0 where they cannot be counted. */
export const descriptors = (): number => (process.platform === 'linux' ? readdirSync('/proc/self/fd').length : 0)

/** Waits until a condition holds; rejects after a minute with what was waited for. */
export const until = async (what: string, condition: () => boolean, facts: () => unknown = () => ''): Promise<void> => {
  const end = Date.now() + 60_000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not happen: ${what} ${JSON.stringify(facts())}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}

const transportsOf = (): Transport[] => [
  http({ port: 0 }),
  // Observers that are gone are given up in half a second.
  coap({ port: 0, tcp: true, transmission: { ackTimeout: 50, maxRetransmit: 2 } }),
  mqtt({ port: 0, statistics: false }),
  tcp({ port: 0 }),
  udp({ port: 0 })
]

/** Opens the house; `further` adds routes to it. */
export const openHouse = async (limits: Partial<Limits>, further: (app: App) => void = () => undefined, options: AppOptions = {}): Promise<House> => {
  const before = descriptors()
  const errors: unknown[][] = []
  const uncaught: unknown[] = []
  const hear = (error: unknown): void => void uncaught.push(error)
  const logger = { error: (...data: unknown[]) => void errors.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  process.on('unhandledRejection', hear).on('uncaughtException', hear)
  const { home } = (await import(HOME)) as { home(transports: readonly Transport[], options: AppOptions): App }
  const app = home(transportsOf(), { logger, limits, ...options })
  further(app)
  const listeners = await app.listen()
  const [first, second, third, fourth, fifth] = listeners.map(({ url }) => parseUrl(url).port) as [number, number, number, number, number]
  const coapTcp = (listeners[1] as CoapListener).urls.find(({ protocol }) => protocol === 'coap+tcp:') as URL
  return {
    app,
    ports: { http: first, coap: second, coapTcp: parseUrl(coapTcp).port, mqtt: third, tcp: fourth, udp: fifth },
    errors,
    uncaught,
    close: async () => {
      for (const peer of [...peers]) peer.socket.destroy()
      await app.close({ timeout: 500 })
      const facts = (): unknown => ({
        live: app.live,
        descriptors: [before, descriptors()],
        errors: errors.map(String),
        uncaught: uncaught.map(String)
      })
      await until('the house leaves nothing behind', () => app.live === 0 && descriptors() <= before && peers.size === 0, facts)
      process.off('unhandledRejection', hear).off('uncaughtException', hear)
      if (uncaught.length > 0) throw new Error('errors were not caught', { cause: uncaught })
      if (errors.length > 0) throw new Error(`faults of peers were logged as errors: ${errors.map(String).join('\n')}`)
    }
  }
}

const peers = new Set<Peer>()

/** A bare TCP connection that keeps what it reads. */
export class Peer {
  readonly socket: net.Socket
  received: Buffer = Buffer.alloc(0)
  /** The other side has ended or dropped the connection. */
  ended = false
  readonly #notify: (() => void)[] = []

  private constructor(socket: net.Socket) {
    this.socket = socket
    peers.add(this)
    const wake = (): void => {
      for (const notify of this.#notify.splice(0)) notify()
    }
    const over = (): void => {
      this.ended = true
      wake()
    }
    socket.on('data', data => {
      this.received = Buffer.concat([this.received, data])
      wake()
    })
    socket.on('error', over)
    socket.on('end', over)
    socket.on('close', () => {
      peers.delete(this)
      over()
    })
  }

  static open(port: number): Promise<Peer> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () => resolve(new Peer(socket)))
      socket.once('error', reject)
    })
  }

  get text(): string {
    return this.received.toString('latin1')
  }

  send(bytes: string | Uint8Array): this {
    if (!this.socket.destroyed) this.socket.write(bytes)
    return this
  }

  /** Sends the bytes one by one, until the other side ends the connection. */
  async drip(bytes: string | Uint8Array, pause: number): Promise<void> {
    for (const byte of Buffer.from(bytes as string)) {
      if (this.ended) return
      this.send(Uint8Array.of(byte))
      await new Promise(resolve => setTimeout(resolve, pause))
    }
  }

  /** Everything received once `enough` is true of it, or the other side has ended; rejects after `limit` ms. */
  async answer(enough: (received: Buffer) => boolean = () => false, limit = 6000): Promise<Buffer> {
    const end = Date.now() + limit
    while (!this.ended && !enough(this.received)) {
      const left = end - Date.now()
      if (left <= 0) throw new Error(`no answer and no close within ${limit} ms, after: ${JSON.stringify(this.text.slice(-300))}`)
      await new Promise<void>(resolve => {
        const timer = setTimeout(resolve, left)
        this.#notify.push(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    }
    return this.received
  }

  /** Drops the connection without a goodbye. */
  vanish(): void {
    this.socket.resetAndDestroy()
  }
}

/** Sends bytes on a connection of their own and gives back what comes. */
export const exchange = async (port: number, bytes: string | Uint8Array, enough?: (received: Buffer) => boolean): Promise<Buffer> => {
  const peer = await Peer.open(port)
  const received = await peer.send(bytes).answer(enough)
  peer.socket.destroy()
  return received
}

/** A datagram socket that speaks with one port. */
export class DatagramPeer {
  readonly #socket: dgram.Socket
  readonly #port: number

  private constructor(socket: dgram.Socket, port: number) {
    this.#socket = socket
    this.#port = port
  }

  static open(port: number): Promise<DatagramPeer> {
    const socket = dgram.createSocket('udp4')
    return new Promise(resolve => socket.bind(0, '127.0.0.1', () => resolve(new DatagramPeer(socket, port))))
  }

  /** Sends a datagram and gives back the next one that comes, or null when none has come in time. */
  ask(bytes: Uint8Array, limit = 1500): Promise<Buffer | null> {
    return new Promise(resolve => {
      const finish = (answer: Buffer | null): void => {
        clearTimeout(timer)
        this.#socket.removeAllListeners('message')
        resolve(answer)
      }
      const timer = setTimeout(() => finish(null), limit)
      this.#socket.once('message', finish)
      this.#socket.send(bytes, this.#port, '127.0.0.1')
    })
  }

  /** Leaves without a goodbye. */
  close(): void {
    this.#socket.close()
  }
}

/** Sends a datagram from a socket of its own and gives back the one that answers it, or null when none has come in time. */
export const datagram = async (port: number, bytes: Uint8Array, limit?: number): Promise<Buffer | null> => {
  const peer = await DatagramPeer.open(port)
  const answer = await peer.ask(bytes, limit)
  peer.close()
  return answer
}

// HTTP

const isHead = (received: Buffer): boolean => received.includes('\r\n\r\n')

/** The status of an HTTP request sent exactly as given; 0 for a close without an answer. */
export const httpStatus = async (port: number, bytes: string): Promise<number> => {
  const received = await exchange(port, bytes, isHead)
  return Number(/^HTTP\/1\.1 (\d{3}) /.exec(received.toString('latin1'))?.[1] ?? 0)
}

export const httpGet = (target: string, fields = ''): string => `GET ${target} HTTP/1.1\r\nhost: localhost\r\n${fields}\r\n`

export const httpPut = (target: string, body: string, fields = 'content-type: application/json\r\n'): string =>
  `PUT ${target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${Buffer.byteLength(body)}\r\n${fields}\r\n${body}`

// Bags

export const bag = (members: Readonly<Record<string, unknown>>): string => JSON.stringify({ 'iopa.Method': 'GET', 'iopa.Seq': 1, ...members })

export const isLine = (received: Buffer): boolean => received.includes(0x0a)

/** The status of the first line of answers; 0 for a close without one. */
export const lineStatus = (received: Buffer | null): number => {
  const line = received?.toString().split('\n')[0] ?? ''
  return line === '' ? 0 : ((JSON.parse(line) as { 'iopa.StatusCode': number })['iopa.StatusCode'] ?? 0)
}

// CoAP (RFC 7252 section 3, RFC 8323 section 3.2)

export const URI_PATH = 11
export const OBSERVE = 6
export const CONTENT_FORMAT = 12
export const BLOCK1 = 27

export type CoapOption = readonly [number: number, value: Uint8Array | string]

const extended = (value: number): readonly [nibble: number, bytes: number[]] =>
  value < 13 ? [value, []] : value < 269 ? [13, [value - 13]] : [14, [(value - 269) >> 8, (value - 269) & 255]]

const optionsOf = (options: readonly CoapOption[], payload: string | Uint8Array): Buffer => {
  const parts: Uint8Array[] = []
  let last = 0
  for (const [number, value] of options) {
    const bytes = Buffer.from(value as string)
    const [delta, deltaBytes] = extended(number - last)
    const [length, lengthBytes] = extended(bytes.length)
    parts.push(Uint8Array.from([(delta << 4) | length, ...deltaBytes, ...lengthBytes]), bytes)
    last = number
  }
  if (payload.length > 0) parts.push(Uint8Array.of(0xff), Buffer.from(payload as string))
  return Buffer.concat(parts)
}

let messageId = Math.floor(Math.random() * 0x10000)

/** A confirmable request with a token of one byte. */
export const coapDatagram = (code: number, options: readonly CoapOption[], payload: string | Uint8Array = ''): Buffer => {
  messageId = (messageId + 1) & 0xffff
  return Buffer.concat([Uint8Array.from([0x41, code, messageId >> 8, messageId & 255, 0x7a]), optionsOf(options, payload)])
}

/** A message on a stream; code 7.01 opens every one. */
export const coapFrame = (code: number, options: readonly CoapOption[] = [], payload: string | Uint8Array = ''): Buffer => {
  const body = optionsOf(options, payload)
  const [length, lengthBytes] = extended(body.length)
  return Buffer.concat([Uint8Array.from([(length << 4) | 1, ...lengthBytes, code, 0x7a]), body])
}

export const CSM = 0xe1

/** The code of an answer as `4.04`; empty for none. */
export const coapCode = (answer: Buffer | null): string => (answer === null ? '' : codeText(answer[1] as number))
const codeText = (code: number): string => `${code >> 5}.${String(code & 31).padStart(2, '0')}`

/** The codes of all messages of a stream. */
export const frameCodes = (received: Buffer): string[] => {
  const codes: string[] = []
  for (let at = 0; at < received.length; ) {
    const nibble = (received[at] as number) >> 4
    const token = (received[at] as number) & 15
    const size = nibble < 13 ? 0 : nibble === 13 ? 1 : nibble === 14 ? 2 : 4
    const length =
      nibble < 13
        ? nibble
        : nibble === 13
          ? 13 + received[at + 1]!
          : nibble === 14
            ? 269 + received.readUInt16BE(at + 1)
            : 65805 + received.readUInt32BE(at + 1)
    codes.push(codeText(received[at + 1 + size] as number))
    at += 2 + size + token + length
  }
  return codes
}

// MQTT 5 (sections 2 and 3)

const text = (value: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(value as string)
  return Buffer.concat([Uint8Array.from([bytes.length >> 8, bytes.length & 255]), bytes])
}

export const mqttPacket = (header: number, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts)
  const length: number[] = []
  let rest = body.length
  do {
    length.push((rest & 127) | (rest > 127 ? 128 : 0))
    rest >>= 7
  } while (rest > 0)
  return Buffer.concat([Uint8Array.from([header, ...length]), body])
}

export const mqttConnect = (clientId: string): Buffer => mqttPacket(0x10, text('MQTT'), Uint8Array.from([5, 2, 0, 60, 0]), text(clientId))
export const mqttPublish = (topic: string | Uint8Array, payload: string | Uint8Array, qos: 0 | 1 = 1): Buffer =>
  mqttPacket(0x30 | (qos << 1), text(topic), Uint8Array.from(qos === 0 ? [0] : [0, 7, 0]), Buffer.from(payload as string))
export const mqttSubscribe = (filter: string): Buffer => mqttPacket(0x82, Uint8Array.from([0, 9, 0]), text(filter), Uint8Array.of(0))

export interface MqttPacket {
  readonly type: number
  readonly body: Buffer
}

/** The whole packets at the begin of what was received. */
export const mqttPackets = (received: Buffer): MqttPacket[] => {
  const packets: MqttPacket[] = []
  for (let at = 0; at + 1 < received.length; ) {
    let length = 0
    let shift = 0
    let next = at + 1
    for (;;) {
      const byte = received[next++]
      if (byte === undefined) return packets
      length |= (byte & 127) << shift
      shift += 7
      if (byte < 128) break
    }
    if (next + length > received.length) return packets
    packets.push({ type: (received[at] as number) >> 4, body: received.subarray(next, next + length) })
    at = next + length
  }
  return packets
}

const CONNACK = 2
const PUBACK = 4
const DISCONNECT = 14

/** A connection of MQTT 5 that has been accepted. */
export const mqttPeer = async (port: number, clientId: string): Promise<Peer> => {
  const peer = await Peer.open(port)
  await peer.send(mqttConnect(clientId)).answer(received => mqttPackets(received).some(({ type }) => type === CONNACK))
  return peer
}

/** The reason code with which a message was acknowledged, or with which the connection ended; -1 for a close without one. */
export const publishReason = async (port: number, topic: string | Uint8Array, payload: string | Uint8Array): Promise<number> => {
  const peer = await mqttPeer(port, `peer-${++messageId}`)
  const isTold = ({ type }: MqttPacket): boolean => type === PUBACK || type === DISCONNECT
  const received = await peer.send(mqttPublish(topic, payload)).answer(all => mqttPackets(all).some(isTold))
  peer.socket.destroy()
  const told = mqttPackets(received).find(isTold)
  return told === undefined ? -1 : told.type === PUBACK ? (told.body[2] ?? 0) : (told.body[0] ?? 0)
}

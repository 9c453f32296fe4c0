import { systemClock } from '@iopa/transport'
import type { Packet } from 'mqtt-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { Connection } from '../src/remote/connection.ts'
import type { InboundMessage } from '../src/remote/message.ts'
import type { ConnectionOptions } from '../src/remote/network-connection.ts'
import { until } from './fixtures/peers.ts'
import { connack, scriptedBroker, type Visit } from './fixtures/scripted-broker.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Opened {
  readonly connection: Connection
  readonly visit: Visit
  readonly received: InboundMessage[]
}

/** A connection to a broker that accepts it and then does what `on` says. */
const open = async (
  on: (packet: Packet, visit: Visit) => void = () => undefined,
  options: Partial<ConnectionOptions> & { readonly connack?: Packet; readonly pause?: () => Promise<void> | undefined } = {}
): Promise<Opened> => {
  const broker = await scriptedBroker((packet, visit) => {
    if (packet.cmd === 'connect') visit.send(options.connack ?? connack())
    else on(packet, visit)
  })
  const received: InboundMessage[] = []
  const connection = await Connection.open(
    {
      url: broker.url,
      protocolVersion: 5,
      clientId: 'c',
      clean: true,
      sessionExpiry: 0,
      keepAlive: 0,
      username: undefined,
      password: undefined,
      tls: undefined,
      websocket: undefined,
      receiveMaximum: 10,
      maximumPacketSize: 1000,
      connectTimeout: 2000,
      capabilities: undefined,
      clock: systemClock,
      signal: undefined,
      ...options
    },
    message => {
      received.push(message)
      return options.pause?.()
    }
  )
  closing.push(
    () => broker.close(),
    () => connection.destroy()
  )
  return { connection, visit: broker.visits[0] as Visit, received }
}

const commands = ({ received }: Visit): string[] => received.map(({ cmd }) => cmd)
const text = ({ payload }: InboundMessage): string => Buffer.from(payload).toString()
const publish = (payload: string, qos: 0 | 1 | 2, messageId = 1): Packet => ({
  cmd: 'publish',
  topic: 'a',
  payload,
  qos,
  retain: false,
  dup: false,
  messageId
})

describe('a connection', () => {
  test('publishes with QoS 2 in two steps, and returns the result of the first', async () => {
    const { connection, visit } = await open((packet, { send }) => {
      if (packet.cmd === 'publish')
        send({ cmd: 'pubrec', messageId: packet.messageId as number, reasonCode: 0x10, properties: { userProperties: { a: 'b' } } })
      if (packet.cmd === 'pubrel') send({ cmd: 'pubcomp', messageId: packet.messageId as number, reasonCode: 0 })
    })
    expect(await connection.publish({ topic: 'a', payload: Buffer.from('x'), qos: 2 })).toMatchObject({
      reasonCode: 0x10,
      userProperties: { a: 'b' }
    })
    expect(commands(visit)).toEqual(['connect', 'publish', 'pubrel'])
  })

  test('ends a QoS 2 message with the refusal of its first step', async () => {
    const { connection, visit } = await open((packet, { send }) => {
      if (packet.cmd === 'publish') send({ cmd: 'pubrec', messageId: packet.messageId as number, reasonCode: 0x87 })
    })
    expect(await connection.publish({ topic: 'a', payload: Buffer.from('x'), qos: 2 })).toMatchObject({ reasonCode: 0x87 })
    expect(commands(visit)).toEqual(['connect', 'publish'])
  })

  test('delivers a QoS 2 message once, though the broker sends it again before it releases it', async () => {
    const { visit, received } = await open()
    visit.send(publish('x', 2, 7))
    visit.send({ ...publish('x', 2, 7), dup: true } as Packet)
    visit.send({ cmd: 'pubrel', messageId: 7, reasonCode: 0 })
    visit.send({ cmd: 'pubrel', messageId: 7, reasonCode: 0 })
    visit.send(publish('y', 2, 7))
    await until(() => commands(visit).length === 6)
    expect(received.map(text)).toEqual(['x', 'y'])
    expect(visit.received.slice(1).map(packet => [packet.cmd, (packet as { reasonCode?: number }).reasonCode])).toEqual([
      ['pubrec', 0],
      ['pubrec', 0],
      ['pubcomp', 0],
      ['pubcomp', 0x92],
      ['pubrec', 0]
    ])
  })

  test('reads nothing more until the promise of a message settles', async () => {
    let release = (): void => undefined
    const { visit, received } = await open(undefined, { pause: () => new Promise(resolve => (release = resolve)) })
    for (const payload of ['1', '2']) visit.send(publish(payload, 0))
    await until(() => received.length === 1)
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(received.map(text)).toEqual(['1'])
    release()
    await until(() => received.length === 2)
  })

  test('does not use a packet identifier again before the broker has acknowledged it', async () => {
    const { connection, visit } = await open((packet, { send }) => {
      if (packet.cmd === 'publish' && packet.payload.toString() !== 'never')
        send({ cmd: 'puback', messageId: packet.messageId as number, reasonCode: 0 })
    })
    const stop = new AbortController()
    const stuck = connection.publish({ topic: 'a', payload: Buffer.from('never'), qos: 1 }, stop.signal)
    stop.abort(new Error('enough'))
    await expect(stuck).rejects.toThrow('enough')
    for (let sent = 0; sent < 3; sent++) await connection.publish({ topic: 'a', payload: Buffer.from('x'), qos: 1 })
    const identifiers = visit.received.flatMap(packet => (packet.cmd === 'publish' ? [packet.messageId] : []))
    expect(new Set(identifiers).size).toBe(4)
  })

  test('sends a reason to the broker when a packet breaks the protocol', async () => {
    const { connection, visit } = await open()
    // A PUBLISH with a topic alias, which the CONNECT did not allow.
    visit.socket.write(Buffer.from([0x30, 7, 0, 1, 0x61, 3, 35, 0, 1]))
    expect((await connection.closed).error?.message).toBe('this client takes no topic aliases')
    await until(() => commands(visit).includes('disconnect'))
    expect(visit.received.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x94 })
  })

  test('refuses a packet that is larger than its CONNECT allows', async () => {
    const { connection, visit } = await open()
    visit.send(publish('x'.repeat(2000), 0))
    expect((await connection.closed).error?.message).toBe('a packet has more than 1000 bytes')
  })

  test('pings within the keep alive of the broker, and ends when nothing answers', async () => {
    const { connection, visit } = await open(undefined, { keepAlive: 60, connack: connack(0, { serverKeepAlive: 1 }) })
    expect((await connection.closed).error?.message).toBe('the broker does not answer')
    expect(commands(visit)).toEqual(['connect', 'pingreq'])
  })

  test('rejects pending requests with the reason when it is lost', async () => {
    const { connection, visit } = await open()
    const lost = connection.subscribe([{ filter: 'a', qos: 1 }]).catch((error: unknown) => error)
    await until(() => commands(visit).includes('subscribe'))
    visit.send({ cmd: 'disconnect', reasonCode: 0x8e })
    expect(await lost).toMatchObject({ code: 'disconnected' })
    expect(await connection.closed).toMatchObject({ reasonCode: 0x8e, error: null })
    await expect(connection.unsubscribe(['a'])).rejects.toMatchObject({ code: 'disconnected' })
  })

  test('is not opened by a broker that sends something else than CONNACK first', async () => {
    await expect(open(undefined, { connack: { cmd: 'pingresp' } })).rejects.toMatchObject({ status: 502, code: 'connect-failed' })
  })
})

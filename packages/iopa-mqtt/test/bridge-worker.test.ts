import type { Packet } from 'mqtt-packet'
import { afterEach, expect, test } from 'vitest'
import type { HouseOptions } from './fixtures/house.ts'
import { type House, house } from './fixtures/house.ts'
import { until } from './fixtures/peers.ts'
import { connack, type ScriptedBroker, scriptedBroker, type Visit } from './fixtures/scripted-broker.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** A broker that grants everything, and keeps the session of its client. */
const serve = async (): Promise<ScriptedBroker> => {
  const broker = await scriptedBroker((packet, visit, number) => {
    if (packet.cmd === 'connect') visit.send({ ...connack(), sessionPresent: number > 1 } as Packet)
    if (packet.cmd === 'subscribe') visit.send({ cmd: 'suback', messageId: packet.messageId!, granted: packet.subscriptions.map(() => 1) })
    if (packet.cmd === 'unsubscribe') visit.send({ cmd: 'unsuback', messageId: packet.messageId!, granted: packet.unsubscriptions.map(() => 0) })
    if (packet.cmd === 'disconnect') visit.socket.end()
  })
  closing.push(() => broker.close())
  return broker
}

/** A worker whose handlers wait until they are told to go on. */
const work = async (broker: ScriptedBroker, options: Partial<HouseOptions> = {}): Promise<{ worker: House; held: Map<string, () => void> }> => {
  const held = new Map<string, () => void>()
  const hook: House['hook'] = ({ path }) => new Promise<void>(resolve => held.set(path.slice('/lights/'.length), resolve))
  const worker = await house({ broker: broker.url, statePrefix: false, reconnect: { initial: 5, maximum: 20 }, ...options }, hook)
  closing.push(() => worker.close(20))
  return { worker, held }
}

const publish = (visit: Visit, messageId: number, options: { qos?: 0 | 1; dup?: boolean; payload?: string } = {}): void =>
  visit.send({
    cmd: 'publish',
    topic: `lights/${messageId}`,
    payload: options.payload ?? 'on',
    qos: options.qos ?? 1,
    retain: false,
    dup: options.dup ?? false,
    messageId
  })
const acknowledged = ({ received }: Visit): number[] => received.filter(({ cmd }) => cmd === 'puback').map(({ messageId }) => messageId!)
/** Resolves when the client has worked on everything that was sent to it before: it then answers QoS 2 with PUBREC. */
const arrived = async (visit: Visit): Promise<void> => {
  visit.send({ cmd: 'publish', topic: 'dead/barrier', payload: '', qos: 2, retain: false, dup: false, messageId: 999 })
  await until(() => visit.received.some(({ cmd }) => cmd === 'pubrec'))
}
const release = async (held: Map<string, () => void>, ...names: string[]): Promise<void> => {
  for (const name of names) {
    held.get(name)?.()
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

test('acknowledges in the order of arrival, whatever the order of completion', async () => {
  const broker = await serve()
  const { held } = await work(broker)
  const [visit] = broker.visits as [Visit]
  for (const id of [1, 2, 3, 4]) publish(visit, id)
  await until(() => held.size === 4)
  await release(held, '3', '2')
  expect(acknowledged(visit)).toEqual([])
  await release(held, '1')
  await until(() => acknowledged(visit).length === 3)
  await release(held, '4')
  await until(() => acknowledged(visit).length === 4)
  expect(acknowledged(visit)).toEqual([1, 2, 3, 4])
})

test('acknowledges as messages are handled, with ackOrder any', async () => {
  const broker = await serve()
  const { held } = await work(broker, { ackOrder: 'any' })
  const [visit] = broker.visits as [Visit]
  for (const id of [1, 2, 3]) publish(visit, id)
  await until(() => held.size === 3)
  await release(held, '3', '1', '2')
  await until(() => acknowledged(visit).length === 3)
  expect(acknowledged(visit)).toEqual([3, 1, 2])
})

test('answers pings and accepts messages while handlers run', async () => {
  const broker = await serve()
  const { held } = await work(broker)
  const [visit] = broker.visits as [Visit]
  publish(visit, 1)
  await until(() => held.has('1'))
  publish(visit, 2)
  publish(visit, 3, { qos: 0 })
  await until(() => held.has('3'))
})

test('asks for a new connection when the broker sends more than was agreed, and loses nothing', async () => {
  const broker = await serve()
  const { worker, held } = await work(broker, { window: 2, limits: { queueMessages: 3 } })
  const [first] = broker.visits as [Visit]
  for (let id = 1; id <= 9; id++) publish(first, id)
  await until(() => broker.visits.length === 2)
  expect(first.received.find(({ cmd }) => cmd === 'disconnect')).toMatchObject({ reasonCode: 0x93 })
  const [, second] = broker.visits as [Visit, Visit]
  await until(() => second.received.some(({ cmd }) => cmd === 'subscribe'))
  // What had been taken is still at work; the broker sends all of it again.
  for (let id = 1; id <= 5; id++) publish(second, id, { dup: true })
  await arrived(second)
  for (let id = 1; id <= 5; id++) {
    await until(() => held.has(String(id)))
    await release(held, String(id))
  }
  await until(() => acknowledged(second).length === 5)
  expect(acknowledged(second)).toEqual([1, 2, 3, 4, 5])
  expect(acknowledged(first)).toEqual([])
  expect(worker.seen.map(({ path }) => path)).toEqual([1, 2, 3, 4, 5].map(id => `/lights/${id}`))
})

test('does not restart a running handler for a duplicate, but for another message with the same identifier', async () => {
  const broker = await serve()
  const { worker, held } = await work(broker)
  publish(broker.visits[0]!, 1)
  publish(broker.visits[0]!, 2)
  await until(() => held.size === 2)
  broker.visits[0]!.socket.destroy()
  await until(() => broker.visits[1]?.received.some(({ cmd }) => cmd === 'subscribe'))
  const second = broker.visits[1]!
  publish(second, 1, { dup: true })
  publish(second, 2, { dup: true, payload: 'something else' })
  await arrived(second)
  await release(held, '1')
  await until(() => acknowledged(second).length === 1)
  await release(held, '2')
  await until(() => worker.seen.length === 3)
  await release(held, '2')
  await until(() => acknowledged(second).length === 2)
  expect(acknowledged(second)).toEqual([1, 2])
  expect(worker.seen.map(({ body }) => body)).toEqual(['on', 'on', 'something else'])
})

test('does not repeat a handled message that it could not acknowledge', async () => {
  const broker = await serve()
  const { worker, held } = await work(broker)
  for (const id of [1, 2, 3]) publish(broker.visits[0]!, id)
  await until(() => held.size === 3)
  await release(held, '2', '3')
  broker.visits[0]!.socket.destroy()
  await until(() => broker.visits[1]?.received.some(({ cmd }) => cmd === 'subscribe'))
  await release(held, '1')
  const second = broker.visits[1]!
  for (const id of [1, 2, 3]) publish(second, id, { dup: true })
  publish(second, 4)
  await until(() => held.has('4'))
  await release(held, '4')
  await until(() => acknowledged(second).length === 4)
  // Acknowledged identifiers are free for other messages, alike or not.
  publish(second, 2)
  await until(() => worker.seen.length === 5)
  expect(worker.seen.map(({ path }) => path)).toEqual([1, 2, 3, 4, 2].map(id => `/lights/${id}`))
  expect(acknowledged(broker.visits[0]!)).toEqual([])
  expect(acknowledged(second)).toEqual([1, 2, 3, 4])
})

test('keeps QoS 0 messages without room waiting in the connection', async () => {
  const broker = await serve()
  const { worker, held } = await work(broker, { window: 1, limits: { queueMessages: 2 } })
  const [visit] = broker.visits as [Visit]
  for (let id = 1; id <= 6; id++) publish(visit, id, { qos: 0 })
  for (let id = 1; id <= 6; id++) {
    await until(() => held.has(String(id)))
    await release(held, String(id))
  }
  expect(worker.seen.map(({ path }) => path)).toEqual([1, 2, 3, 4, 5, 6].map(id => `/lights/${id}`))
  expect(broker.visits).toHaveLength(1)
})

test('drops messages of QoS 0 that find no room while nothing is finished, and stays connected', async () => {
  const broker = await serve()
  const { worker, held } = await work(broker, { window: 1, limits: { queueMessages: 2 } })
  const [visit] = broker.visits as [Visit]
  for (let id = 1; id <= 6; id++) publish(visit, id, { qos: 0 })
  await arrived(visit)
  for (let id = 1; id <= 3; id++) {
    await until(() => held.has(String(id)))
    await release(held, String(id))
  }
  publish(visit, 9, { qos: 0 })
  await until(() => held.has('9'))
  expect(worker.seen.map(({ path }) => path)).toEqual(['/lights/1', '/lights/2', '/lights/3', '/lights/9'])
  expect(broker.visits).toHaveLength(1)
})

test('leaves unfinished messages to the broker when it closes', async () => {
  const broker = await serve()
  const { worker, held } = await work(broker, { clientId: 'steady' })
  const [visit] = broker.visits as [Visit]
  publish(visit, 1)
  publish(visit, 2)
  await until(() => held.size === 2)
  const closed = worker.close(50)
  await release(held, '1')
  await closed
  await release(held, '2')
  expect(acknowledged(visit)).toEqual([1])
  expect(visit.received.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0 })
})

test('handles an equal message again if it is not marked as duplicate', async () => {
  const broker = await serve()
  const { worker, held } = await work(broker)
  publish(broker.visits[0]!, 1)
  await until(() => held.size === 1)
  broker.visits[0]!.socket.destroy()
  await until(() => broker.visits[1]?.received.some(({ cmd }) => cmd === 'subscribe'))
  const second = broker.visits[1]!
  publish(second, 1)
  await arrived(second)
  await release(held, '1')
  await until(() => worker.seen.length === 2)
  expect(acknowledged(second)).toEqual([])
  await release(held, '1')
  await until(() => acknowledged(second).length === 1)
})

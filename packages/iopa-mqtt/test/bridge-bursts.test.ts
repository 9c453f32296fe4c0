import { App, IopaError } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import { connectAsync } from 'mqtt'
import { generate, type Packet } from 'mqtt-packet'
import { afterEach, expect, test } from 'vitest'
import { bridge } from '../src/bridge.ts'
import { mqtt } from '../src/mqtt.ts'
import { house } from './fixtures/house.ts'
import { describeWith, mosquitto, until } from './fixtures/peers.ts'
import { connack, type ScriptedBroker, scriptedBroker } from './fixtures/scripted-broker.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

describeWith(['mosquitto'], 'a worker behind mosquitto', () => {
  test('handles every message of a burst of QoS 0', async () => {
    const broker = await mosquitto(['max_queued_messages 0'])
    closing.push(() => broker.stop())
    const worker = await house({ broker: broker.url, statePrefix: false })
    closing.push(() => worker.close(20))
    const client = await connectAsync(broker.url)
    closing.push(() => client.endAsync(true))
    const burst = 3000
    client.stream.cork()
    for (let number = 1; number <= burst; number++) client.publish(`lights/${number % 7}`, String(number), { qos: 0 })
    client.stream.uncork()
    await until(() => worker.seen.length >= burst, 10_000).catch(() => undefined)
    expect(worker.seen.length).toBe(burst)
  })
})

const scripted = async (): Promise<ScriptedBroker> => {
  const broker = await scriptedBroker((packet, visit) => {
    if (packet.cmd === 'connect') visit.send(connack() as Packet)
    if (packet.cmd === 'subscribe') visit.send({ cmd: 'suback', messageId: packet.messageId!, granted: packet.subscriptions.map(() => 1) })
    if (packet.cmd === 'pingreq') visit.send({ cmd: 'pingresp' })
    if (packet.cmd === 'disconnect') visit.socket.end()
  })
  closing.push(() => broker.close())
  return broker
}
const burstOf = (count: number): Buffer =>
  Buffer.concat(
    Array.from({ length: count }, (_, number) =>
      generate({ cmd: 'publish', topic: `lights/${number % 7}`, payload: String(number), qos: 0, retain: false, dup: false }, { protocolVersion: 5 })
    )
  )

test('reads on when there is room again: a burst in one write loses nothing, each topic in order', async () => {
  const broker = await scripted()
  const worker = await house({ broker: broker.url, statePrefix: false })
  closing.push(() => worker.close(20))
  broker.visits[0]!.socket.write(burstOf(3000))
  await until(() => worker.seen.length >= 3000, 10_000).catch(() => undefined)
  expect(worker.seen.length).toBe(3000)
  const first = worker.seen.filter(({ path }) => path === '/lights/1').map(({ body }) => Number(body))
  expect(first).toEqual([...first].sort((one, other) => one - other))
})

test('reads on although nothing is finished, for a handler may wait for an answer of the broker', async () => {
  const broker = await scripted()
  const worker = await house({ broker: broker.url, statePrefix: false, window: 1, limits: { queueMessages: 10 } }, () =>
    worker.bridge.publish('elsewhere', 'x', { qos: 1 })
  )
  closing.push(() => worker.close(20))
  broker.visits[0]!.socket.write(burstOf(30))
  await until(() => broker.visits[0]!.received.some(({ cmd }) => cmd === 'publish'))
  const asked = broker.visits[0]!.received.find(({ cmd }) => cmd === 'publish') as { messageId?: number }
  broker.visits[0]!.send({ cmd: 'puback', messageId: asked.messageId! })
  await until(() => worker.lights.size > 0)
})

test('logs one line for finally failed messages, and one for responses that it cannot publish', async () => {
  const broker = await scripted()
  const lines: string[] = []
  let seen = 0
  const note = (...data: unknown[]): unknown => lines.push(data.map(String).join(' '))
  const app = new App({ logger: { error: note, warn: note, info: () => undefined, debug: () => undefined } })
    .use(router())
    .use(mqtt({ broker: bridge(broker.url, { statePrefix: false, deadLetter: false }) }))
  app.put('/lights/:id', () => {
    seen++
    throw new IopaError(422, 'no', 'Not such a light.')
  })
  await app.listen()
  closing.push(() => app.close({ timeout: 20 }))
  const visit = broker.visits[0] as ScriptedBroker['visits'][number]
  const message = { cmd: 'publish', topic: 'lights/attic', payload: 'x', retain: false, dup: false } as const
  for (let number = 1; number <= 50; number++) {
    visit.send({ ...message, qos: 1, messageId: number })
    visit.send({ ...message, qos: 0, properties: { responseTopic: 'lights/hall' } })
  }
  await until(() => seen >= 100 && lines.length >= 2)
  await app.close({ timeout: 200 })
  expect(lines.map(line => line.slice(0, 45)).sort()).toEqual([
    'iopa: MQTT: a message failed for good and is ',
    'iopa: MQTT: a request asks for a response whe'
  ])
})

test('waits while the bodies in memory have no room, and handles everything when they have', async () => {
  const broker = await scripted()
  let release = (): void => undefined
  const gate = new Promise<void>(resolve => (release = resolve))
  let entered = 0
  const app = new App({ logger: false, limits: { bodyMemory: 500 * 1024 } }).use(
    mqtt({ broker: bridge(broker.url, { statePrefix: false, window: 50, topics: ['lights/#'] }) })
  )
  app.use(async context => {
    await context.bytes()
    entered++
    await gate
    return undefined
  })
  await app.listen()
  closing.push(() => app.close({ timeout: 20 }))
  for (let number = 0; number < 20; number++) {
    const payload = Buffer.alloc(100_000, 'x')
    const packet = { cmd: 'publish', topic: `lights/${number}`, payload, qos: 0, retain: false, dup: false } as const
    broker.visits[0]!.socket.write(generate(packet, { protocolVersion: 5 }))
  }
  await until(() => entered >= 2)
  await new Promise(resolve => setTimeout(resolve, 300))
  expect(entered).toBeLessThan(10)
  release()
  await until(() => entered === 20)
})

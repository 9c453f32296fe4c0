import net from 'node:net'
import { App } from '@iopa/appbuilder'
import { router } from '@iopa/router'
import type { Listener } from '@iopa/transport'
import { generate, type Packet, parser } from 'mqtt-packet'
import { afterEach, describe, expect, test } from 'vitest'
import { type MqttTransport, mqtt } from '../../../src/mqtt.ts'

/** Milliseconds of processor time that one turn of the event loop may take while the broker works. */
const LONGEST = 400

const apps: App[] = []

const sockets: net.Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const app of apps.splice(0)) await app.close({ timeout: 100 })
})

async function listening(build: (app: App) => unknown = () => undefined): Promise<{ port: number; transport: MqttTransport }> {
  const app = new App({ logger: false })
  apps.push(app)
  build(app)
  const transport = mqtt({ port: 0, statistics: false })
  app.use(transport)
  const [listener] = (await app.listen()) as [Listener]
  return { port: Number(listener.url.port), transport }
}

/** A client over a real socket. */
async function dial(port: number): Promise<{ send(packet: Packet): void; next(cmd: Packet['cmd']): Promise<Packet> }> {
  const socket = net.connect(port, '127.0.0.1')
  sockets.push(socket)
  const library = parser({ protocolVersion: 5 })
  const waiting = new Map<string, (packet: Packet) => void>()
  library.on('packet', (packet: Packet) => waiting.get(packet.cmd)?.(packet))
  socket.on('data', chunk => library.parse(chunk))
  const next = (cmd: Packet['cmd']): Promise<Packet> => new Promise(resolve => waiting.set(cmd, resolve))
  const send = (packet: Packet): void => void socket.write(generate(packet, { protocolVersion: 5 }))
  const connected = next('connack')
  send({ cmd: 'connect', clientId: `c${sockets.length}`, protocolId: 'MQTT', protocolVersion: 5, clean: true, keepalive: 0 })
  await connected
  return { send, next }
}

/** The most processor time between two turns of the event loop while `work` goes on, in milliseconds: other processes do not count. */
async function longestStall(work: () => Promise<unknown>): Promise<number> {
  let longest = 0
  const used = (): number => process.cpuUsage().user / 1000
  let last = used()
  let running = true
  const tick = (): void => {
    const now = used()
    longest = Math.max(longest, now - last)
    last = now
    if (running) setImmediate(tick)
  }
  setImmediate(tick)
  await work()
  running = false
  return longest
}

const subscriptions = (filters: readonly string[]): Packet => ({
  cmd: 'subscribe',
  messageId: 1,
  subscriptions: filters.map(topic => ({ topic, qos: 0 as const, nl: false, rap: false, rh: 0 }))
})

describe('a SUBSCRIBE', () => {
  test('of 900 filters that match nothing does not stop the process over 30,000 retained topics', async () => {
    const { port, transport } = await listening()
    for (let index = 0; index < 30_000; index++) await transport.publish(`${index % 300}/${index}/r/v`, 'x', { retain: true })
    const client = await dial(port)
    const other = await dial(port)
    const stall = await longestStall(async () => {
      const acknowledged = client.next('suback')
      client.send(subscriptions(Array.from({ length: 900 }, (_, index) => `+/+/+/x${index}`)))
      await acknowledged
      // Another client is answered while the retained messages are searched.
      for (let round = 0; round < 20; round++) {
        const answered = other.next('pingresp')
        other.send({ cmd: 'pingreq' })
        await answered
      }
    })
    expect(stall).toBeLessThan(LONGEST)
  }, 60_000)

  test('of 900 filters does not stop the process over 20,000 announced resources', async () => {
    const instances = Array.from({ length: 20_000 }, (_, index) => `/lights/l${index}`)
    const { port } = await listening(app => app.use(router()).get('/lights/:id', { instances: () => instances }, () => 'on'))
    const client = await dial(port)
    const stall = await longestStall(async () => {
      const acknowledged = client.next('suback')
      client.send(subscriptions(Array.from({ length: 900 }, (_, index) => `+/+/x${index}`)))
      await acknowledged
      for (let round = 0; round < 5; round++) {
        const answered = client.next('pingresp')
        client.send({ cmd: 'pingreq' })
        await answered
      }
    })
    expect(stall).toBeLessThan(LONGEST)
  }, 60_000)

  test('of 50,000 equal filters in one packet does not stop the process', async () => {
    const { port } = await listening(app => app.use(router()).get('/light', () => 'on'))
    const client = await dial(port)
    const stall = await longestStall(async () => {
      const acknowledged = client.next('suback')
      client.send(subscriptions(new Array(50_000).fill('light')))
      await acknowledged
    })
    expect(stall).toBeLessThan(LONGEST)
  }, 60_000)
})

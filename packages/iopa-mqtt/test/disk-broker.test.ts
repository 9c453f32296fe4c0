import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectAsync, type IClientOptions, type MqttClient, connect as openClient } from 'mqtt'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { until } from './fixtures/peers.ts'
import { compiled, type Program } from './fixtures/program.ts'

let program: Program
let folder: string
let port: string
let broker: ChildProcess | null = null
const clients: MqttClient[] = []

const start = async (): Promise<void> => {
  const started = await program.start(folder)
  broker = started.child
  port = started.printed.trim()
}
const kill = async (): Promise<void> => {
  if (broker) await program.kill(broker)
}
const options = (clientId: string): IClientOptions => ({
  protocolVersion: 5,
  clientId,
  clean: false,
  reconnectPeriod: 0,
  properties: { sessionExpiryInterval: 600 }
})
const connect = async (clientId: string): Promise<MqttClient> => {
  const client = await connectAsync(`mqtt://127.0.0.1:${port}`, options(clientId))
  clients.push(client)
  return client
}
/** Connects with a listener that is there before the first message. */
const resume = async (clientId: string, listener: (payload: Buffer) => void): Promise<{ reconnected: MqttClient; session: boolean }> => {
  const reconnected = openClient(`mqtt://127.0.0.1:${port}`, options(clientId))
  clients.push(reconnected)
  reconnected.on('message', (_topic, payload) => listener(payload))
  const { sessionPresent } = await new Promise<{ sessionPresent: boolean }>(resolve => reconnected.once('connect', resolve))
  return { reconnected, session: sessionPresent }
}

beforeAll(async () => {
  program = await compiled('disk-broker')
})
afterAll(() => program?.dispose())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'iopa-mqtt-'))
})
afterEach(async () => {
  for (const client of clients.splice(0)) await client.endAsync(true)
  await kill()
  await rm(folder, { recursive: true, force: true })
})

describe('an embedded broker with a disk store', () => {
  test('delivers after a kill whatever it had acknowledged before', async () => {
    await start()
    const away = await connect('away')
    await away.subscribeAsync('load/#', { qos: 1 })
    await away.endAsync()
    const publisher = await connect('publisher')
    publisher.on('error', () => {})
    const acknowledged: string[] = []
    let sent = 0
    // Keeps one message under way, for as long as they are acknowledged.
    const publish = (): void => {
      const message = String(sent++)
      publisher.publish(`load/${sent % 7}`, message, { qos: sent % 2 ? 1 : 2, retain: sent % 5 === 0 }, error => {
        if (error) return
        acknowledged.push(message)
        publish()
      })
    }
    for (let n = 0; n < 40; n++) publish()
    await until(() => acknowledged.length > 400, 10_000)
    await kill()
    await publisher.endAsync(true)
    await start()
    const received = new Set<string>()
    const { reconnected, session } = await resume('away', payload => received.add(payload.toString()))
    expect([reconnected.connected, session]).toEqual([true, true])
    await until(() => acknowledged.every(message => received.has(message)), 8000).catch(() => {
      expect(acknowledged.filter(message => !received.has(message))).toEqual([])
    })
  }, 30_000)
})

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connectAsync, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, expect, test } from 'vitest'

const start = fileURLToPath(new URL('../start.ts', import.meta.url))
/** One process: the command of tsx starts a second one for the program. */
const withTsx = ['--conditions=@iopa/source', '--import', 'tsx']
let broker: ChildProcess
let client: MqttClient

beforeAll(async () => {
  broker = spawn(process.execPath, [...withTsx, start], {
    env: { ...process.env, MQTT_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [url] = (await once(createInterface(broker.stdout!), 'line')) as [string]
  client = await connectAsync(url, { protocolVersion: 5 })
})

afterAll(async () => {
  await client.endAsync()
  broker.kill('SIGINT')
  await once(broker, 'exit')
})

test('a target is state: it is told at first, set, refused, and watched; other topics are plain', async () => {
  const heard: string[] = []
  client.on('message', (topic, payload) => heard.push(`${topic} ${payload}`))
  await client.subscribeAsync('#')
  await client.publishAsync('rooms/hall/target', '{"target":19}', { qos: 1 })
  const refused = client.publishAsync('rooms/hall/target', '{"target":99}', { qos: 1 })
  await expect(refused).rejects.toMatchObject({ code: 0x99 })
  await client.publishAsync('anything/else', 'hello', { qos: 1 })
  await expect.poll(() => heard).toContain('anything/else hello')
  expect(heard).toEqual(['rooms/hall/target {"target":21}', 'rooms/hall/target {"target":19}', 'anything/else hello'])
})

test('it is under 40 lines', () => expect(readFileSync(start, 'utf8').trimEnd().split('\n').length).toBeLessThan(40))
